"""Sweeps: what varies becomes points, names and configs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import sweep_files, sweeps
from orchestra.domain.errors import BadInput
from orchestra.domain.naming import natural_key


def configs(found: Any) -> list[dict[str, Any]]:
    sweep = sweeps.parse(found, "grid.yaml")
    made = [sweep.config(point) for point in sweep]
    assert len(made) == sweep.points
    return made


def test_a_grid_is_every_combination_the_last_varies_fastest() -> None:
    found = {
        "base": {"epochs": 3, "net": {"kind": "mlp"}},
        "grid": {"net.depth": [1, 2], "lr": [0.1, 0.2]},
    }
    assert configs(found) == [
        {"epochs": 3, "net": {"kind": "mlp", "depth": depth}, "lr": lr}
        for depth in (1, 2)
        for lr in (0.1, 0.2)
    ]


def test_a_name_within_a_name_is_shown_as_it_is_written() -> None:
    with pytest.raises(BadInput) as caught:
        configs({"grid": {"note: net": {"depth": [1, 2]}}})
    assert '"note: net.depth": [1, 2, 3]' in (caught.value.hint or "")


def test_sections_are_multiplied_in_the_order_of_the_file() -> None:
    found = {
        "zip": {"width": [1, 2], "depth": [4, 3]},
        "list": [{"model": "s"}, {"model": "l", "opt": {"lr": 1}}],
    }
    assert configs(found) == [
        {"width": 1, "depth": 4, "model": "s"},
        {"width": 1, "depth": 4, "model": "l", "opt": {"lr": 1}},
        {"width": 2, "depth": 3, "model": "s"},
        {"width": 2, "depth": 3, "model": "l", "opt": {"lr": 1}},
    ]


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ({"range": [0, 3]}, [0, 1, 2]),
        ({"range": 2}, [0, 1]),
        ({"range": [3, 0, -1]}, [3, 2, 1]),
        ({"range": [0, 0.4, 0.1]}, [0.0, 0.1, 0.2, 0.3]),
        ({"linspace": [0, 1, 5]}, [0.0, 0.25, 0.5, 0.75, 1.0]),
        ({"linspace": [2, 9, 1]}, [2]),
        ({"geomspace": [0.001, 10, 5]}, [0.001, 0.01, 0.1, 1.0, 10.0]),
        ([None, [1, 2], {"a": 1}, True], [None, [1, 2], {"a": 1}, True]),
    ],
)
def test_values_of_a_name(spec: Any, values: list[Any]) -> None:
    assert [config["x"] for config in configs({"grid": {"x": spec}})] == values


RANDOM = {
    "points": 200,
    "seed": 7,
    "values": {
        "u": {"uniform": [-1, 1]},
        "l": {"loguniform": [1e-5, 0.1]},
        "i": {"integer": [1, 3]},
        "n": {"normal": [0, 1]},
        "c": ["a", "b"],
    },
}


def test_what_is_random_is_the_same_each_time() -> None:
    made = configs({"random": RANDOM})
    assert made == configs({"random": RANDOM})
    assert made != configs({"random": {**RANDOM, "seed": 8}})
    assert {config["i"] for config in made} == {1, 2, 3}
    assert {config["c"] for config in made} == {"a", "b"}
    assert all(-1 <= config["u"] <= 1 and 1e-5 <= config["l"] <= 0.1 for config in made)
    assert (
        60 < sum(config["l"] < 1e-3 for config in made) < 140
    )  # as many below as above, by the logarithm


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ([1], "has no sections"),
        ({}, "varies nothing"),
        ({"base": {"a": 1}}, "varies nothing"),
        ({"gird": {"a": [1]}}, 'an unknown section "gird". Did you mean "grid"?'),
        ({"grid": {"a": 1}}, "grid: a: needs a list, or one of range, linspace, geomspace"),
        ({"grid": {"a": []}}, "grid: a: the list is empty"),
        ({"grid": {"a": {"range": ["x"]}}}, "range takes [first, stop]"),
        ({"grid": {"a": {"range": [1, 2, 3, 4]}}}, "range takes [first, stop]"),
        ({"grid": {"a": {"range": [0, 3, 0]}}}, "the step cannot be 0"),
        ({"grid": {"a": {"range": [3, 3]}}}, "that makes no value"),
        ({"grid": {"a": {"range": 10**12}}}, "more than 1,000,000 values"),
        ({"grid": {"a": {"linspace": [0, 1, 2.5]}}}, "of which the third is a whole number"),
        ({"grid": {"a": {"linspace": [0, 1, 0]}}}, "that makes no value"),
        ({"base": {"e\u0301": 1}, "grid": {"a": [1]}}, 'the name "e\\u0301" has accents as separate characters'),
        ({"random": {"points": 3, "values": {"a": {"normal": [1e308, 1e308]}}}}, "the numbers are too large"),
        ({"grid": {"a": {"geomspace": [0, 1, 2]}}}, "both ends must be greater than 0"),
        ({"grid": {"a": [1]}, "zip": {"a": [1]}}, '"a" varies twice'),
        ({"zip": {"a": [1], "b": [1, 2]}}, "zip: the lists must have the same length, but a has 1 and b has 2"),
        ({"list": {"a": 1}}, "list must be a list of points"),
        ({"list": [3]}, "list: point 1 must have names with values"),
        ({"random": {"values": {"a": [1]}}}, "random needs points"),
        ({"random": {"points": 3}}, "random has no values"),
        ({"random": {"points": 3, "a": [1]}}, 'random has "a", which is not one of points, seed, values'),
        ({"random": {"points": 3, "seed": "x", "values": {"a": [1]}}}, "seed must be an integer"),
        ({"random": {"points": 3, "values": {"a": {"uniform": [2, 1]}}}}, "2 is more than 1"),
        ({"random": {"points": 3, "values": {"a": {"gauss": [2, 1]}}}}, "needs a list to choose from"),
        ({"random": {"points": 3, "values": {"a": {"integer": [0, 1.5]}}}}, "two whole numbers"),
        ({"base": {"a": 1}, "grid": {"a.b": [1]}}, '"a" is a value, so "a.b" cannot be inside it'),
        ({"grid": {"a": [1]}, "format": "xml"}, "format must be json or yaml, not xml"),
        ({"grid": {"a": [1]}, "template": 3}, "template must be the name of a file"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(found: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        sweeps.parse(found, "grid.yaml")
    assert sentence in str(caught.value)


def test_names_tell_the_point_and_sort() -> None:
    sweep = sweeps.parse(
        {"grid": {"n": {"range": 12}, "opt.lr": [0.001], "layers": [[64, 32]], "act": ["tan h/x"]}},
        "x",
    )
    short = sweep_files.labels(sweep.names())
    names = [sweep_files.file_name(n, sweep.points, p, short) for n, p in enumerate(sweep)]
    assert names[3] == "03_n=3_lr=0.001_layers=64x32_act=tan-h-x"
    assert names == sorted(names) == sorted(names, key=natural_key)


def test_names_keep_the_sign_of_a_number() -> None:
    names = [
        sweep_files.file_name(n, 3, {"x": x}, {"x": "x"})
        for n, x in enumerate((-1, -0.5, "-what?-"))
    ]
    assert names == ["0_x=-1", "1_x=-0.5", "2_x=what"]


def test_labels_of_names_with_the_same_last_part() -> None:
    assert sweep_files.labels(["a.lr", "b.lr", "c.d"]) == {
        "a.lr": "a.lr",
        "b.lr": "b.lr",
        "c.d": "d",
    }


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=8))
def test_whatever_the_values_names_are_names_of_files(point: dict[str, Any]) -> None:
    name = sweep_files.file_name(5, 1000, point, sweep_files.labels(list(point)))
    assert name.startswith("005")
    assert name.isascii()
    assert len(name) <= 120
    assert not set(name) & set("/ '\"$\n\0;")


def test_a_template_gets_the_values() -> None:
    text = "lr = {{lr}}\nname = '{{ net.kind }}' # {not} {{{x}}}\n{{flag}} {{none}} {{layers}}\n"
    config = {
        "lr": 1e-05,
        "net": {"kind": "a"},
        "x": 1,
        "flag": True,
        "none": None,
        "layers": [1, 2],
    }
    assert (
        sweep_files.fill(text, config, "t.cfg")
        == "lr = 1e-05\nname = 'a' # {not} {1}\ntrue null [1,2]\n"
    )
    with pytest.raises(BadInput, match=r't\.cfg, line 2: .*\{\{flga\}\}\. Did you mean "flag"'):
        sweep_files.fill("a\n{{flga}}", config, "t.cfg")


# What is drawn and what is spaced

NUMBERS = st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.integers(1, 10**20) | st.floats(1e-300, 1e300)


def drawn(kind: str, low: Any, high: Any, points: int = 20) -> list[Any]:
    random = {"points": points, "seed": 3, "values": {"x": {kind: [low, high]}}}
    try:
        return [config["x"] for config in configs({"random": random})]
    except BadInput as error:
        if "no number can be drawn between" not in str(error):
            raise
        return []


@given(NUMBERS, NUMBERS)
def test_what_is_drawn_evenly_lies_within_its_bounds(one: Any, other: Any) -> None:
    low, high = sorted((one, other))
    assert all(low <= value <= high for value in drawn("uniform", low, high))


@given(POSITIVE, POSITIVE)
def test_what_is_drawn_by_the_logarithm_lies_within_its_bounds(one: Any, other: Any) -> None:
    low, high = sorted((one, other))
    assert all(low <= value <= high for value in drawn("loguniform", low, high))


@given(st.floats(-1e15, 1e15), st.floats(1, 1e6))
def test_values_differ_however_far_from_zero_the_interval_is(low: float, width: float) -> None:
    values = drawn("uniform", low, low + width)
    assert len(set(values)) > 1
    assert len(set(drawn("normal", low, width))) > 1


@given(st.integers(-(10**17), 10**17), st.integers(1, 10**15), st.integers(1, 50))
def test_whole_steps_are_whole(first: int, step: int, number: int) -> None:
    exact = [first + step * n for n in range(number)]
    spaces = [
        {"range": [first, first + step * number, step]},
        {"linspace": [first, exact[-1], number]},
    ]
    for space in spaces:
        values = [config["x"] for config in configs({"grid": {"x": space}})]
        assert values == exact
        assert all(type(value) is int for value in values)


@given(POSITIVE, POSITIVE, st.integers(1, 20))
def test_spaced_values_include_both_ends(first: Any, last: Any, number: int) -> None:
    for kind in ("linspace", "geomspace"):
        try:
            values = [c["x"] for c in configs({"grid": {"x": {kind: [first, last, number]}}})]
        except BadInput as error:
            if "too large" not in str(error):
                raise
            continue
        assert float(values[0]) == float(first)
        assert number == 1 or float(values[-1]) == float(last)
        low, high = sorted((float(first), float(last)))
        assert all(low <= float(value) <= high for value in values)


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        ({"geomspace": [16, 256, 5]}, [16, 32, 64, 128, 256]),
        ({"linspace": [0, 100, 5]}, [0, 25, 50, 75, 100]),
        ({"linspace": [0.0, 2, 3]}, [0.0, 1.0, 2.0]),
        ({"range": [0, 1, 0.1]}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ({"range": [1700000000000.0, 1700000000003.0]}, [1700000000000.0, 1700000000001.0, 1700000000002.0]),
    ],
)  # fmt: skip
def test_spaced_values_have_the_type_that_was_typed(spec: Any, values: list[Any]) -> None:
    found = [config["x"] for config in configs({"grid": {"x": spec}})]
    assert found == values
    assert [type(each) for each in found] == [type(each) for each in values]


# Names

NESTED = {"optim": {"kind": "adam", "lr": 0.1}}


@pytest.mark.parametrize(
    "found",
    [
        {"base": {"optim.kind": "adam"}, "grid": {"optim.lr": [0.1]}},
        {"base": {"optim": {"kind": "adam"}}, "list": [{"optim.lr": 0.1}]},
        {"list": [{"optim": {"kind": "adam"}, "optim.lr": 0.1}]},
        {"zip": {"optim.kind": ["adam"], "optim.lr": [0.1]}},
        {"grid": {"optim": [{"kind": "adam", "lr": 0.1}]}},
        {"base": {"optim.kind": "adam"}, "random": {"points": 1, "values": {"optim.lr": [0.1]}}},
    ],
)
def test_a_dotted_name_is_a_value_within_in_every_section(found: Any) -> None:
    assert configs(found) == [NESTED]


@pytest.mark.parametrize(
    ("found", "made"),
    [
        ({"list": [{"o": {}}, {"o": {"n": True}, "lr": 2}]}, [{"o": {}}, {"o": {"n": True}, "lr": 2}]),
        ({"grid": {"o": [{}, {"a": {}}]}}, [{"o": {}}, {"o": {"a": {}}}]),
        ({"base": {"o": {}, "p": {"q": {}}}, "grid": {"a": [1]}}, [{"o": {}, "p": {"q": {}}, "a": 1}]),
        ({"grid": {"o": [[], [{}]]}}, [{"o": []}, {"o": [{}]}]),
    ],
)  # fmt: skip
def test_empty_mappings_and_lists_are_values(found: Any, made: Any) -> None:
    assert configs(found) == made


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ({"grid": {"a": [{"b": 1}], "a.b": [1]}}, 'both "a" and "a.b" in it vary'),
        ({"grid": {"a.b": [1]}, "zip": {"a": [1]}}, 'both "a" and "a.b" in it vary'),
        ({"zip": {"a.b.c": [1], "a": [1]}}, 'both "a" and "a.b.c" in it vary'),
        ({"list": [{"a": 1, "a.b": 2}]}, 'list: point 1: "a" is a value, so "a.b" cannot be inside it'),
        ({"list": [{"x": 1}, {"a": {"b": 1}, "a.b": 2}]}, 'list: point 2: "a.b" is given twice'),
        ({"base": {"a": {"b": 1}}, "grid": {"a": [1]}}, '"a" varies as a whole, but base has "a.b" in it'),
        ({"base": {"a.b": 1, "a": {"b": 2}}, "grid": {"x": [1]}}, 'base: "a.b" is given twice'),
        ({"base": {"a.b": 1, "a": 2}, "grid": {"x": [1]}}, 'base: "a" is a value, so "a.b" cannot be inside it'),
        ({"list": [{"x": 1}, {"a.b": 1}], "base": {"a": 1}}, '"a" is a value, so "a.b" cannot be inside it'),
        ({"grid": {"a..b": [1]}}, 'grid: "a..b" is not a name'),
        ({"base": {".a": 1}, "grid": {"x": [1]}}, 'base: ".a" is not a name'),
        ({"grid": {"a" * 501: [1]}}, "has 501 characters"),
        ({"grid": {"a": ["\ud800"]}}, "cannot be written as UTF-8"),
        ({"grid": {"a": [{1, 2}]}}, "a config cannot hold a value of type set"),
        ({"base": [], "grid": {"a": [1]}}, "base must have names with values"),
        ({"random": {"points": 3, "values": {"a": {"normal": [0, -1]}}}}, "the standard deviation -1 is less than 0"),
        ({"random": {"points": 3, "values": {"a": {"uniform": [-1e308, 1e308]}}}}, "no number can be drawn between"),
    ],
)  # fmt: skip
def test_names_that_are_in_one_anothers_way_are_refused(found: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        sweeps.parse(found, "grid.yaml")
    assert sentence in str(caught.value)
