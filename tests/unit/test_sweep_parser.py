"""A sweep's file means one thing only, or it is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest

from orchestra.domain.documents import Unusable
from orchestra.files import sweep_parser


def values(text: str, name: str = "grid.yaml") -> Any:
    return sweep_parser.parse(name, text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("+12", 12), ("-0", 0), ("0x1f", 31), ("'010'", "010"), ("!!str 010", "010"),
        ("1e-3", 0.001), ("1e3", 1000.0), (".5", 0.5), ("12.", 12.0), ("-.inf", -math.inf), ("!!float 3", 3.0),
        ("true", True), ("FALSE", False), ("~", None), ("", None), ("y", "y"),
        ("1:30:00", "1:30:00"), ("2024-01-01", "2024-01-01"), ("2024-01-01T10:00:00Z", "2024-01-01T10:00:00Z"),
        ("_1", "_1"), ("1.2.3", "1.2.3"), ("=", "="), ("<<", "<<"), ("0755a", "0755a"),
    ],
)  # fmt: skip
def test_values_are_what_people_expect(text: str, value: Any) -> None:
    (found,) = values(f"a: {text}\n").values()
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("008", 'write 8 or "008"'),
        ("010", 'write 10 or 8 or "010"'),
        ("-010", 'write -10 or -8 or "-010"'),
        ("1_000", 'write 1000 or "1_000"'),
        ("1_000.5", 'write 1000.5 or "1_000.5"'),
        ("0b101", 'write 5 or "0b101"'),
        ("0o17", 'write 15 or "0o17"'),
        ("+0x1f", 'write 31 or "+0x1f"'),
        ("0x_1f", 'write 31 or "0x_1f"'),
        ("yes", 'write true or "yes"'),
        ("Off", 'write false or "Off"'),
    ],
)
def test_what_yaml_parsers_read_differently_is_refused(text: str, advice: str) -> None:
    with pytest.raises(Unusable, match=f"has {text.replace('+', '[+]')} in line 2") as caught:
        values(f"grid:\n  a: [1, {text}]\n")
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("text", "looks"),
    [
        ("\u201ca\u201d", '"a"'), ("\u2018a b\u2019", '"a b"'), ("\u22120.5", "-0.5"), ("\u201310", "-10"),
        ("1\u00a0", "1"), ("a\u00a0", "a"), ("\u200b0.1", "0.1"), ("1\ufeff", "1"), ("\uff11\uff12", "12"),
        ("\u0663", "3"), ("1e\u22123", "1e-3"), ("tru\u200be", "true"),
    ],
)  # fmt: skip
def test_text_without_quotes_that_looks_like_something_else_is_refused(
    text: str, looks: str
) -> None:
    with pytest.raises(Unusable, match="in line 2, which only looks like") as caught:
        values(f"grid:\n  a: [1, {text}]\n")
    assert f"write {looks} or" in str(caught.value)
    assert values(f"a: '{text}'\n") == {"a": text}


@pytest.mark.parametrize(
    "text", ["\u00e9t\u00e9", "e\u0301", "10\u00a0km", "don\u2019t", "\u2212", "\U0001f600"]
)
def test_other_text_is_text_in_any_language(text: str) -> None:
    assert values(f"a: {text}\n") == {"a": text}


def test_names_are_the_text_that_was_typed() -> None:
    assert values("{on: 1, 010: 2, 10: 3, 2024-01-01: 4, ~: 5, null: 6, 1.0: 7, 'a b': 8}") == {
        "on": 1, "010": 2, "10": 3, "2024-01-01": 4, "~": 5, "null": 6, "1.0": 7, "a b": 8,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("a.yaml", "grid:\n  lr: [1]\n  lr: [2]\n", 'contains "lr" twice (line 3)'),
        ("a.yaml", "grid: {a: [1]}\ngrid: {b: [1]}\n", 'contains "grid" twice (line 2)'),
        ("a.yaml", "grid: {1: [1], '1': [2]}\n", 'contains "1" twice'),
        ("a.json", '{"grid": {"lr": [1], "lr": [2]}}', 'contains "lr" twice'),
        ("a.toml", "[grid]\nlr = [1]\nlr = [2]\n", "cannot be read"),
        ("a.yaml", "a: &a [1, *a]\n", "refers to itself"),
        ("a.yaml", "a: &a {b: *a}\n", "refers to itself"),
        ("a.yaml", "a: 1e999\n", "too large for a number"),
        ("a.json", '{"a": -1e999}', "too large for a number"),
        ("a.yaml", "a: !!binary aGk=\n", "a value of type binary"),
        ("a.yaml", "a: !!int x\n", "x in line 1, which is not a whole number"),
        ("a.yaml", "? [1]\n: 2\n", "a name that is not text"),
        ("a.yaml", "<<: 3\n", "merges something that is not a mapping"),
        ("a.yaml", "a: [1\n", "is not valid YAML (line 2"),
        ("a.json", "{", "is not valid JSON (line 1"),
        ("a.yaml", "a: 1\n---\nb: 2\n", "a second document starts in line 2"),
        ("a.yaml", "a: *b\n", "undefined alias"),
        ("a.yaml", "a: !!bool yes\n", "yes in line 1, which is not true or false"),
        ("a.yaml", "a: !!null x\n", "x in line 1, which is not null"),
        ("a.yaml", "a: !!float 1_0.5\n", "1_0.5 in line 1, which is not a number"),
        ("a.yaml", "a:\n  <<: {b: 1}\n  <<: {b: 2}\n", 'contains "<<" twice (line 3)'),
        ("a.yaml", "a: 1\nb: \0\n", "a character in line 2 that YAML does not allow: U+0000"),
        ("a.yaml", "a: 1e-400\n", "too small for a number"),
        ("a.json", '{"a": 1e-400}', "too small for a number"),
        ("a.json5", "{a: Infinity}", "is not supported"),
    ],
)
def test_mistakes_are_one_sentence(name: str, text: str, sentence: str) -> None:
    with pytest.raises(Unusable) as caught:
        values(text, name)
    assert sentence in str(caught.value)


def test_expanded_aliases_count() -> None:
    laughs = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    laughs += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(Unusable, match="more than 100,000 values"):
        values("\n".join(laughs))


def test_merged_mappings_give_way_to_what_is_written() -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {<<: [*a, *b], x: 3}\nd: {<<: *a}\n"
    assert values(text) == {
        "a": {"x": 1, "y": 1},
        "b": {"y": 2, "z": 2},
        "c": {"y": 1, "z": 2, "x": 3},
        "d": {"x": 1, "y": 1},
    }
