"""What people and jobs wrote is read within bounds: whatever stands in it, it costs neither time nor memory."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import documents, sweeps
from orchestra.domain.documents import Bounds, Unusable
from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import flatten

_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)
)
_MERGES = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}], y{n}: 1}}\n" for n in range(1, 30)
)
_CHAIN = "- &a0 [1]\n" + "".join(f"- &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
_DEEP, _MANY, _DIGITS = "nested too deeply", "more than 100,000 values", "more than 1,000 digits"

ATTACKS: dict[str, tuple[str, str, str]] = {
    "billion laughs": ("a.yaml", _LAUGHS, _MANY),
    "billion laughs by merging": ("a.yaml", _MERGES, _MANY),
    "aliases in one another": ("a.yaml", _CHAIN, _DEEP),
    "yaml in itself": ("a.yaml", "a: &a [1, *a]", "refers to itself (*a)"),
    "yaml mapping in itself": ("a.yaml", "&a {b: {c: *a}}", "refers to itself (*a)"),
    "yaml merged into itself": ("a.yaml", "&a {<<: *a}", "refers to itself (*a)"),
    "yaml brackets": ("a.yaml", "[" * 100_000, _DEEP),
    "yaml dashes": ("a.yaml", "- " * 100_000, _DEEP),
    "yaml braces": ("a.yaml", "{a: " * 100_000, _DEEP),
    "yaml values": ("a.yaml", "a: [" + "1," * 150_000 + "]", _MANY),
    "yaml whole number": ("a.yaml", "a: " + "9" * 900_000, _DIGITS),
    "yaml base 16": ("a.yaml", "a: 0x" + "f" * 900_000, _DIGITS),
    "yaml base 60": ("a.yaml", "a: 1" + ":10" * 300_000, "a number of more than 100 parts"),
    "yaml tagged number": ("a.yaml", 'a: !!int "' + "9" * 900_000 + '"', _DIGITS),
    "yaml tags written out": (
        "a.yaml",
        "%TAG !e! tag:" + "a" * 100_000 + "\n--- [" + "!e!x 1, " * 50_000 + "]",
        "a tag of more than 200 letters",
    ),
    "yaml empty number": ("a.yaml", 'a: !!int ""', "is not valid YAML"),
    "yaml strange time": ("a.yaml", "a: !!timestamp x", "is not valid YAML"),
    "yaml day that is none": ("a.yaml", "a: 2001-02-30", "is not valid YAML"),
    "yaml object": ("a.yaml", "a: !!python/object/apply:os.getpid []", "is not valid YAML"),
    "json brackets": ("a.json", "[" * 100_000, _DEEP),
    "json braces": ("a.json", '{"a":' * 100_000, _DEEP),
    "json brackets behind a text": ("a.json", '["\\"[[",' + "[" * 100_000, _DEEP),
    "json values": ("a.json", "[" + "1," * 150_000 + "1]", _MANY),
    "json number": ("a.json", '{"a": ' + "9" * 900_000 + "}", _DIGITS),
    "json fraction": ("a.json", '{"a": 0.' + "9" * 900_000 + "}", _DIGITS),
    "json quotes": ("a.json", '"\\"' * 300_000, "is not valid JSON"),
    "too large": ("a.json", '"' + "x" * 10_000_000 + '"', "has 10 MB; at most 1 MB is read"),
    "toml brackets": ("a.toml", "a = " + "[" * 100_000, _DEEP),
    "toml dots": ("a.toml", "a" + ".a" * 99_000 + " = 1", _DEEP),
    "toml dots in quotes": ("a.toml", "'a'" + ".'a'" * 99_000 + " = 1", _DEEP),
    "toml table of dots": ("a.toml", "[a" + " . a" * 99_000 + "]", _DEEP),
    "toml number": ("a.toml", "a = " + "9" * 900_000, _DIGITS),
    "toml values": ("a.toml", "a = [" + "1," * 150_000 + "]", _MANY),
}

_PROBE = """
import json, resource, sys, time
from orchestra.domain import documents

resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
for line in sys.stdin:
    name, text = json.loads(line)
    began = time.process_time()
    try:
        documents.parse(name, text.encode())
        said = ""
    except documents.Unusable as error:
        said = str(error)
    print(json.dumps([said, time.process_time() - began]), flush=True)
"""


def test_no_text_takes_more_than_a_moment_or_400_mb() -> None:
    given = "\n".join(json.dumps([name, text]) for name, text, _ in ATTACKS.values())
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = dict(zip(ATTACKS, map(json.loads, done.stdout.splitlines()), strict=True))
    for attack, (_, _, words) in ATTACKS.items():
        said, seconds = found[attack]
        assert words in said, attack
        assert seconds < 2, attack


@pytest.mark.parametrize(
    "attack", [name for name, (_, _, words) in ATTACKS.items() if words != "is not valid YAML"]
)
def test_a_sweep_says_so_in_one_sentence(tmp_path: Path, attack: str) -> None:
    from orchestra.files import sweeps

    name, text, words = ATTACKS[attack]
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput) as refused:
        sweeps.plan(path)
    assert words in str(refused.value)
    assert str(refused.value).startswith(f"{path} ")


# What is within the bounds is read as it always was

_SCALARS = (
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(max_size=20)
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=30,
)


def _same(one: Any, other: Any) -> bool:
    return repr(one) == repr(other)  # NaN as well


@given(_VALUES)
def test_json_is_what_python_reads(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        assert _same(documents.parse("a.json", text), json.loads(text))


@given(_VALUES)
def test_json_is_measured_exactly(value: Any) -> None:
    depth, values = _depth(value), _count(value)
    text = json.dumps(value)
    documents.parse("a.json", text, Bounds(depth=depth, values=values))
    with pytest.raises(Unusable, match="values"):
        documents.parse("a.json", text, Bounds(values=values - 2))
    if depth:
        with pytest.raises(Unusable, match="deeply"):
            documents.parse("a.json", text, Bounds(depth=depth - 1))


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=5), st.data())
def test_an_alias_counts_as_expanded(parts: list[list[int]], data: Any) -> None:
    aliases = data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=8))
    lines = [f"- &a{number} {part}" for number, part in enumerate(parts)]
    text = "\n".join(lines + [f"- *a{number}" for number in aliases])
    written_out = parts + [parts[number] for number in aliases]
    assert documents.parse("a.yaml", text) == written_out
    count = 1 + sum(1 + len(part) for part in written_out)
    documents.parse("a.yaml", text, Bounds(depth=2, values=count))
    with pytest.raises(Unusable, match="values"):
        documents.parse("a.yaml", text, Bounds(values=count - 1))


def _depth(value: Any) -> int:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(_depth, inner), default=0)
    return 0


def _count(value: Any) -> int:
    """Names count, too; an empty list may count for two."""
    if isinstance(value, dict):
        return 1 + sum(1 + _count(each) for each in value.values()) + (not value)
    return 1 + sum(map(_count, value)) + (not value) if isinstance(value, list) else 1


@given(st.text() | st.binary(), st.sampled_from(["a.json", "a.yaml", "a.toml", "a.cfg"]))
def test_any_text_is_read_or_refused(content: str | bytes, name: str) -> None:
    with suppress(Unusable):
        documents.parse_last(name, content)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a.json", "[1e999, -Infinity, NaN]", [math.inf, -math.inf, math.nan]),
        ("a.json", '{"a": 1, "a": 2}', {"a": 2}),
        ("a.json", "\ufeff[1]", [1]),
        ("a.json", "[" * 100 + "]" * 100, None),
        ("a.json", "9" * 1000, int("9" * 1000)),
        ("a.yaml", "a: 1e-3\nb: 12e45abc\nc: 1:30:00", {"a": 0.001, "b": "12e45abc", "c": 5400}),
        ("a.yaml", "a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("a.yaml", "a: " + "9" * 100 + " and text " + "ab:" * 200 + "c", None),
        ("a.yaml", 'a: "' + "9" * 5000 + '"', {"a": "9" * 5000}),
        ("a.toml", "a = '[[[' # " + "." * 500 + "\nb.c = 1.5", {"a": "[[[", "b": {"c": 1.5}}),
        ("a.toml", 'a = """' + '[".' * 500 + '"""', {"a": '[".' * 500}),
    ],
)
def test_what_is_within_the_bounds(name: str, text: str, value: Any) -> None:
    found = documents.parse(name, text.encode())
    assert value is None or _same(found, value)


def test_of_json_lines_the_last_one_counts() -> None:
    lines = '{"epoch": 1}\n{"epoch": 2}\n\n'
    assert documents.parse_last("m.json", lines) == ({"epoch": 2}, '{"epoch": 2}')
    assert documents.parse_last("m.json", '{"a":\n1}\n') == ({"a": 1}, '{"a":\n1}\n')
    unfinished = '{"epoch": 1}\n{"epoch": 2}\n{"epo'
    assert documents.parse_last("m.json", unfinished) == ({"epoch": 2}, '{"epoch": 2}')
    for end in ('{"epoch": 2\n', '{\n"epoch": 2\n}', "done"):
        with pytest.raises(
            Unusable,
            match=r"\(line 2, column 1\): more than one value, and the last line is not one",
        ):
            documents.parse_last("m.json", '{"epoch": 1}\n' + end)


def test_nested_names_are_limited() -> None:
    found: dict[str, Any] = {str(number): 1 for number in range(5_000)}
    for _ in range(50):
        found = {"x" * 100: found}
    with pytest.raises(ValueError, match="a name of more than 500 characters"):
        flatten(found)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"grid": {"a": {"range": 10**7}}}, "more than 1,000,000 values"),
        ({"grid": {f"a{n}": {"range": 400_000} for n in range(3)}}, "more than 1,000,000 values"),
        ({"random": {"points": 10**6, "values": {"a": [1], "b": [2]}}}, "more than 1,000,000"),
        ({"grid": {"a." * 50_000: [1]}}, "500 are allowed"),
        ({"list": [{"x" * 300: {"y" * 300: 1}}]}, "500 are allowed"),
        ({"grid": {"a": {"range": [0, 10**500]}}}, "more than 1,000,000 values"),
        ({"grid": {"a": {"range": [-1e307, 1e307, 1e-300]}}}, "more than 1,000,000 values"),
    ],
)
def test_sweeps_are_limited(sweep: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        sweeps.parse(sweep, "sweep.yaml")


def test_the_fast_parser_of_yaml_is_there() -> None:
    assert issubclass(documents_loader(), yaml.CSafeLoader)


def documents_loader() -> Any:
    from orchestra.domain.documents import yaml_text

    return yaml_text._loader()
