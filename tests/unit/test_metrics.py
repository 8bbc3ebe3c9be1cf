"""What is kept of metrics: a text of at most 16 kB, of JSON lines the last one, and the finite numbers beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import metrics
from orchestra.domain.documents import Unusable
from orchestra.domain.manifests import TEXT_AT_MOST as CONFIG_AT_MOST
from orchestra.domain.metrics import TEXT_AT_MOST
from orchestra.files.file_texts import FileTexts


def keep(content: str | bytes, name: str = "metrics.json") -> tuple[str, dict[str, Any]] | None:
    data = content if isinstance(content, bytes) else content.encode()
    kept = metrics.to_keep(name, data[-TEXT_AT_MOST - 1 :], len(data))
    return (kept.text, json.loads(kept.numbers)) if kept else None


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        ('{"a": 1, "b": {"c": 0.5}}', {"a": 1, "b.c": 0.5}),
        ('{"a": NaN, "b": Infinity, "c": 1e999, "d": true, "e": "1", "f": [1]}', {}),
        ('{"a": 1' + "0" * 400 + ', "b": 1e308}', {"b": 1e308}),
        ('{"\\u0000": 1, "\\ud800": 2, "c": 3}', {"c": 3}),
    ],
)
def test_the_finite_numbers_are_stored_with_the_text(content: str, numbers: Any) -> None:
    assert keep(content) == (content, numbers)


def test_files_that_are_no_json() -> None:
    assert keep("loss: 0.5\n", "m.yaml") == ("loss: 0.5\n", {"loss": 0.5})
    assert keep("~: 1\ntrue: 2\n3: 4\n", "m.yaml") == (
        "~: 1\ntrue: 2\n3: 4\n",
        {"null": 1, "true": 2, "3": 4},
    )
    assert keep("[a]\nloss = 0.5\n", "m.toml") == ("[a]\nloss = 0.5\n", {"a.loss": 0.5})


def test_of_json_lines_the_last_one_is_kept_however_long_the_file() -> None:
    assert keep('{"a": 1}\n{"a": 2}\n') == ('{"a": 2}', {"a": 2})
    assert keep('{"a": 1}\n' * 50_000 + '{"a": 2}\n\n') == ('{"a": 2}', {"a": 2})
    assert keep('{"a": 1}\n' * 50_000 + '{"a": 2}\n{"a"') == ('{"a": 2}', {"a": 2})
    longest = '{"a": "' + "x" * (TEXT_AT_MOST - 9) + '"}'
    assert keep('{"a": 1}\n' * 5_000 + longest) == (longest, {})


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("", "m.json"),
        ("[1]", "m.json"),
        ("{", "m.json"),
        (b"\xff\xfe\xff", "m.json"),
        ('{"a": "' + "x" * TEXT_AT_MOST + '"}', "m.json"),
        ('{"a": 1}\n' * 50_000 + '{"a": "' + "x" * TEXT_AT_MOST + '"}', "m.json"),
        ('{"a": [\n' + "1,\n" * 10_000 + "1\n]}\n", "m.json"),
        ('{"a": 1}\n' * 50_000 + '{"a": 2}', "m.yaml"),
        ("a: 1\n" * 5_000, "m.yaml"),
        ("a: &a [*a]", "m.yaml"),
    ],
)
def test_nothing_is_kept_of_what_holds_no_values_or_too_many(
    content: str | bytes, name: str
) -> None:
    assert keep(content, name) is None


def test_the_numbers_take_no_more_room_than_the_text() -> None:
    nested: Any = {str(number): number for number in range(1_000)}
    for _ in range(4):
        nested = {"x" * 100: nested}
    kept = metrics.to_keep("m.json", text := json.dumps(nested).encode(), len(text))
    assert kept
    assert 10_000 < len(kept.numbers) <= TEXT_AT_MOST + 2


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode), st.integers(0, 400))
def test_any_end_of_any_file_is_kept_or_not(content: bytes, before: int) -> None:
    kept = metrics.to_keep("m.json", content, len(content) + before)
    if kept:
        assert isinstance(json.loads(kept.numbers), dict)
        assert metrics.of_text("m.json", kept.text) is not None


def test_a_config_may_be_anything_unless_its_name_says_what() -> None:
    assert metrics.of_config("a.cfg", b"lr=7") == {}
    assert metrics.of_config("a.cfg", b'{"lr": 7}') == {"lr": 7}
    with pytest.raises(Unusable):
        metrics.of_config("a.json", b"lr=7")


# The texts of configs


def texts(*files: tuple[str, bytes], most: int = 100) -> tuple[dict[int, str], bool]:
    found = FileTexts(most)
    for place, (name, content) in enumerate(files):
        found.add(place, name, content)
    return found.kept()


def test_texts_are_kept_of_what_may_hold_values() -> None:
    kept = texts(
        ("a.json", b'{"a": 1}'),
        ("a.YAML", b"a: 1"),
        ("a", b' {"a": 1}'),
        ("a.png", b"PNG"),
        ("a.json", b"\xff"),
        ("a.json", b"a\0"),
        ("a.json", b""),
    )
    assert kept == ({0: '{"a": 1}', 1: "a: 1", 2: ' {"a": 1}'}, False)


def test_beyond_the_limit_the_first_ones_are_kept() -> None:
    assert texts(*[("a.json", b"12345")] * 4, most=12) == ({0: "12345", 1: "12345"}, True)
    late = FileTexts(12)
    for place in (3, 0, 2, 1):  # as threads come to them
        late.add(place, "a.json", b"12345")
    assert late.kept() == ({0: "12345"}, True)
    assert CONFIG_AT_MOST == 4_000
