"""Conditions on rows: what they mean, held against a model, and what is said of mistakes."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra import command_words
from orchestra.domain import where
from orchestra.domain.errors import BadInput
from orchestra.domain.results import Row, table_of

ROWS = (
    Row(0, "a.json", values={"lr": 0.1, "width": 64, "opt": "adam"}, metrics={"acc": 0.5, "ok": True}),
    Row(1, "b.json", values={"lr": 0.01, "width": 64, "opt": "sgd"}, metrics={"acc": math.nan, "ok": False}),
    Row(2, "c.json", values={"lr": "1e-3", "width": 128, "opt": "64", "l": [64, 64]}, metrics={}),
    Row(3, "d.json", seconds=7.5, values={"lr": 1, "val/acc": 2, "my name": "x y", "and": 1},
        metrics={"acc": math.inf}),
)  # fmt: skip
TABLE = table_of(ROWS)


def jobs(text: str) -> list[int]:
    return [row.job for row in where.matching(TABLE, where.parse(text)).rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr < 0.1", [1, 2]),
        ("lr<0.1 and width==64", [1]),
        ("lr <= .1", [0, 1, 2]),
        ("lr == 1e-3", [2]),
        ("lr = 1", [3]),
        ("0.01 <= lr < 1", [0, 1]),
        ("width == 64 or width == 128 and opt == 'sgd'", [0, 1]),
        ("(width == 64 or width == 128) and not opt = \"sgd\"", [0, 2]),
        ("width != 64", [2]),
        ("not width == 64", [2, 3]),
        ("width == null", [3]),
        ("width != null && width <> 64", [2]),
        ("opt == '64'", [2]),
        ("opt == 64", [2]),
        ("opt < 100", [2]),
        ("opt > 'b'", [1]),
        ("opt ~ 'd'", [0, 1]),
        ("width ~ 8", [2]),
        ("opt in ('adam', 'sgd',)", [0, 1]),
        ("opt not in ('adam')", [1, 2]),
        ("width in [128, 3]", [2]),
        ("ok", [0]),
        ("not ok", [1, 2, 3]),
        ("ok == false", [1]),
        ("ok == 1", []),
        ("ok < 1", []),
        ("ok != 1", [0, 1]),
        ("acc < 1", [0]),
        ("acc == nan", [1]),
        ("acc != nan", [0, 3]),
        ("acc == inf or acc > -inf", [0, 3]),
        ("acc == acc", [0, 1, 3]),
        ("l == '[64,64]'", [2]),
        ("l ~ 64", [2]),
        ("val/acc == 2", [3]),
        ("`my name` == \"x y\"", [3]),
        ("'my name' == \"x y\"", [3]),
        ("`and` = 1", [3]),
        ("config.lr >= 1 AND metrics.acc > 3", [3]),
        ("run.seconds > 7", [3]),
        ("job in (1, 3)", [1, 3]),
        ("config ~ 'b.j'", [1]),
        ("acc < lr", []),
        ("lr < width", [0, 1, 2]),
        ("True", [0, 1, 2, 3]),
        ("NOT true OR false", []),
    ],
)  # fmt: skip
def test_conditions(text: str, expected: list[int]) -> None:
    assert jobs(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("", '--where, column 1: a name or a condition is expected, not the end.', None),
        ("lr <", "column 5: a value is expected, not the end.", None),
        ("lr << 1", 'column 5: a value is expected, not "<".', None),
        ("lr 1", 'column 4: "and", "or" or the end is expected, not "1".', None),
        ("lr < 0.1 width == 3", 'column 10: "and", "or" or the end is expected, not "width".', None),
        ("(lr < 1", 'column 8: ")" is expected, not the end.', None),
        ("lr < 1)", 'column 7: "and", "or" or the end is expected, not ")".', None),
        ("lr in 3", 'column 7: values in parentheses, as in (1, 2), is expected, not "3".', None),
        ("lr in ()", 'column 8: a value is expected, not ")".', None),
        ("lr < 1; rm", 'column 7: "; rm" is not understood.', None),
        ("opt == 'adam", "column 8: the quote ' is not closed.", None),
        ("3", "column 2: a comparison is expected, not the end.", None),
        ("widht > 3 and lr < 1", 'column 1: the results have no column "widht". Did you mean "width"?', None),
        ("lr < 1 and lrr > 3", 'column 12: the results have no column "lrr". Did you mean "lr"?', None),
        ("opt == adam", 'column 8: the results have no column "adam".', 'A text is in quotes: "adam"'),
        ("'x y' == `my name`", 'column 1: the results have no column "x y".', None),
        ("x" * 4001, "--where is longer than 4,000 characters.", None),
        ("(" * 2000 + "lr < 1", "column 51: it is nested more than 50 levels deep.", None),
        ("not " * 900 + "ok", "column 201: it is nested more than 50 levels deep.", None),
        ("__import__('os')", 'column 11: "and", "or" or the end is expected, not "(".', None),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence_with_its_column(
    text: str, sentence: str, hint: str | None
) -> None:
    with pytest.raises(BadInput) as caught:
        jobs(text)
    assert sentence in command_words.message_of(caught.value)
    assert hint is None or hint in str(caught.value.hint)


def test_a_table_without_rows_has_no_columns_to_miss() -> None:
    empty = table_of([])
    assert where.matching(empty, where.parse("acc > 0.5")) == empty


# A model: trees of conditions, what they are as text, and what they mean.

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -3,
    0.5,
    10**400,
    math.nan,
    math.inf,
    "",
    "a",
    "b",
    "1",
    "1e0",
    [1],
]
names = st.sampled_from(["x", "y.z", "o k"])
constants = st.sampled_from(
    [value for value in VALUES if not isinstance(value, list) and value != 10**400]
)
signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
comparisons = st.tuples(st.just("compare"), names, signs, st.one_of(st.tuples(names), constants))
trees: st.SearchStrategy[Any] = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)  # fmt: skip


def written(tree: Any) -> str:
    match tree:
        case ("compare", name, sign, (other,)):
            return f"`{name}`{sign}`{other}`"
        case ("compare", name, sign, value):
            shown = (
                repr(value) if isinstance(value, str) else "null" if value is None else str(value)
            )
            return f"`{name}` {sign} {shown}"
        case ("not", part):
            return f"not ({written(part)})"
        case (word, parts):
            return f" {word} ".join(f"({written(part)})" for part in parts)
    raise AssertionError


def meant(tree: Any, row: dict[str, Any]) -> bool:
    match tree:
        case ("compare", name, sign, other):
            return compared(row[name], sign, row[other[0]] if isinstance(other, tuple) else other,
                            with_null=other is None)  # fmt: skip
        case ("not", part):
            return not meant(part, row)
        case ("and", parts):
            return all(meant(part, row) for part in parts)
        case ("or", parts):
            return any(meant(part, row) for part in parts)
    raise AssertionError


def compared(one: Any, sign: str, other: Any, *, with_null: bool) -> bool:
    if with_null and sign in ("==", "!="):
        return (one is None) == (sign == "==")
    if one is None or other is None:
        return False
    one, other = ("[1]" if isinstance(each, list) else each for each in (one, other))
    kinds = {type(one), type(other)}
    if kinds == {bool}:
        same, order = one == other, None
    elif bool in kinds:
        same, order = False, None
    else:
        if kinds != {str}:
            one, other = ({"1": 1, "1e0": 1}.get(each, each) for each in (one, other))
        if len({isinstance(each, str) for each in (one, other)}) == 2:
            same, order = False, None
        elif one != one or other != other:
            same, order = one != one and other != other, None
        else:
            same, order = one == other, (one > other) - (one < other)
    if sign in ("==", "!="):
        return bool(same) == (sign == "==")
    return (
        order is not None
        and {"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[sign]
    )


@given(trees, st.tuples(*[st.sampled_from(VALUES)] * 3))
@settings(max_examples=300, deadline=None)
def test_a_condition_means_what_the_model_says(tree: Any, values: tuple[Any, ...]) -> None:
    row = dict(zip(["x", "y.z", "o k"], values, strict=True))
    table = table_of([Row(0, "", values=row)])
    found = where.matching(table, where.parse(written(tree)))
    assert bool(found.rows) == meant(tree, row)


@given(st.text(st.sampled_from("x.1e-+<>=!~()[],'\"`\\ andotri&|é\x00"), max_size=60))
@settings(max_examples=300, deadline=None)
def test_any_text_is_a_condition_or_a_sentence(text: str) -> None:
    try:
        where.matching(TABLE, where.parse(text))
    except BadInput as error:
        if not command_words.message_of(error).startswith("--where"):
            raise


@pytest.mark.parametrize(
    "piece", ["(", "not ", "'", '"\\', "1", "x.", "x<", "x in (", "x and ", "-", "`"]
)
def test_hostile_conditions_are_refused_at_once(piece: str) -> None:
    began = time.process_time()
    for text in (piece * 10_000, (piece * 4_000)[:4_000]):
        with pytest.raises(BadInput):
            jobs(text)
    assert time.process_time() - began < 0.5


@given(
    st.lists(
        st.none()
        | st.booleans()
        | st.integers(-9, 9)
        | st.floats()
        | st.text()
        | st.lists(st.text()),
        min_size=1,
    )
)
def test_a_condition_for_given_values_is_met_by_them(values: list[Any]) -> None:
    row = Row(0, "a.json", values={f"a {place}": value for place, value in enumerate(values)})
    condition = where.equal_to(row.values.items())
    assert condition
    assert where.matching(table_of([row]), where.parse(condition)).rows == (row,)


def test_what_no_condition_can_say() -> None:
    assert where.equal_to([("a`b", 1)]) is None
    assert where.equal_to([("a", 10**200)]) is None
    assert where.equal_to([("a", "x" * 5000)]) is None
