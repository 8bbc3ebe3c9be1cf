"""What is written into a config is read back as the same value and type, by JSON's readers and by YAML's."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from orchestra.files import config_writer

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    [
        "010",
        "0o17",
        "08",
        "1e3",
        "1:30",
        "1_000",
        "0x1f",
        ".inf",
        "~",
        "<<",
        "=",
        "2024-01-01",
        "no",
        "y",
        "-",
        "#",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT
FINITE = SCALARS | st.floats(allow_nan=False, allow_infinity=False)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | TEXT


def configs(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    nested = st.recursive(
        values,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
        max_leaves=10,
    )
    return st.dictionaries(NAMES, nested, max_size=5)


def readers() -> list[Any]:
    return [
        lambda text: yaml.load(text, Loader=yaml.SafeLoader),
        lambda text: yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)),
        lambda text: YAML(typ="safe", pure=True).load(text),
    ]


def alike(one: Any, other: Any) -> bool:
    """Equal, and of equal types all through; NaN is alike to NaN, and -0.0 is not 0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and bool(one == other)


@given(configs(FINITE))
@example({"lr": 1e-05, "steps": 1e16, "text": '"1e-05" \\', "-1e-07": [-1e-07, 5e-324]})
@example({"a\u2028b": "\x85\x7f\ufeff\U0001f600", "\xa0": "\ufffe"})
def test_json_is_read_back_by_every_reader(config: dict[str, Any]) -> None:
    text = config_writer.as_json(config)
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert alike(json.loads(text), config)
    for read in readers():
        assert alike(read(text), config), text


@given(configs(FINITE | st.floats()))
@example({"lr": 1e-05, "clip": math.inf, "fill": math.nan, "low": -math.inf})
def test_yaml_is_read_back_by_every_reader(config: dict[str, Any]) -> None:
    text = config_writer.as_yaml(config)
    for read in readers():
        assert alike(read(text), config), text


def test_people_can_read_it() -> None:
    config = {
        "kind": "adam",
        "net.a": [64, 32],
        "lr": 1e-05,
        "name": "no",
        "file": "a/b-c.h5",
        "empty": {},
    }
    assert config_writer.as_json(config) == (
        '{"kind": "adam", "net.a": [64, 32], "lr": 1.0e-05, "name": "no", "file": "a/b-c.h5", "empty": {}}\n'
    )
    assert config_writer.as_yaml(config) == (
        'kind: adam\nnet.a:\n- 64\n- 32\nlr: 1.0e-05\nname: "no"\nfile: a/b-c.h5\nempty: {}\n'
    )


def test_json_has_no_infinity() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        config_writer.as_json({"a": math.inf})
