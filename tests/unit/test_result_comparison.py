"""Tasks side by side: which rows belong together, and which columns there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.domain.errors import BadInput
from orchestra.domain.goals import parse_goal
from orchestra.domain.result_comparison import Comparison, compared, matched
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.results import Row, Table, table_of
from orchestra.domain.where import parse


def table(*rows: tuple[str, dict[str, Any], dict[str, Any]]) -> Table:
    return table_of([Row(n, path, values=v, metrics=m) for n, (path, v, m) in enumerate(rows)])


A = table(
    ("a", {"lr": 0.1, "w": 1}, {"loss": 3}),
    ("b", {"lr": 0.01, "w": 1}, {"loss": 2}),
    ("c", {"lr": 1, "w": 1}, {"loss": 1}),
)
B = table(
    ("b", {"lr": 0.1, "w": 1}, {"loss": 5, "steps": 1}),
    ("a", {"lr": 0.01, "w": 1}, {"loss": 1, "steps": 2}),
    ("d", {"lr": 5, "w": 1}, {"loss": 0, "steps": 3}),
    ("c", {"lr": 1.0, "w": 2}, {"loss": "diverged"}),
)


def compare(*tables: Table, goal: str | None = None, **query: Any) -> Comparison:
    labels = "ABC"[: len(tables)]
    stated = parse_goal(goal) if goal else None
    return compared(tables, labels, ResultQuery(**query), stated)


def jobs(*tables: Table) -> list[tuple[int | None, ...]]:
    return [tuple(row.job if row else None for row in match) for match in matched(tables)]


def test_configs_match_by_path_and_values_then_values_then_path() -> None:
    assert jobs(A, B) == [(0, 0), (1, 1), (2, 3), (None, 2)]
    same: list[tuple[str, dict[str, Any], dict[str, Any]]]
    same = [(path, {"lr": 1}, {}) for path in "abc"]
    assert jobs(table(*same), table(*reversed(same))) == [(0, 2), (1, 1), (2, 0)]
    assert jobs(table(*same), table(("x", {"lr": 1.0}, {}), *same[:1])) == [
        (0, 1), (1, 0), (2, None),
    ]  # fmt: skip
    unread = table(("a", {}, {}), ("z", {}, {}))
    assert jobs(A, unread) == [(0, 0), (1, None), (2, None), (None, 1)]
    assert jobs(table(("", {}, {})), table(("", {}, {}))) == [(0, None), (None, 0)]
    assert jobs(A, B, A) == [(0, 0, 0), (1, 1, 1), (2, 3, 2), (None, 2, None)]


def test_columns_of_a_comparison() -> None:
    found = compare(A, B)
    assert [column.name for column in found.sheet.columns] == [
        "lr", "w", "A.w", "B.w", "A.job", "B.job", "A.loss", "B.loss", "diff", "A.steps", "B.steps",
        "config", "A.config", "B.config",
    ]  # fmt: skip
    assert [column.name for column in found.telling] == [
        "lr", "A.w", "B.w", "A.job", "B.job", "A.loss", "B.loss", "diff", "A.steps", "B.steps",
    ]  # fmt: skip
    first, *_, last = found.sheet.records()
    assert first == {
        "lr": 0.1, "w": 1, "A.w": 1, "B.w": 1, "A.job": 0, "B.job": 0, "A.loss": 3, "B.loss": 5, "diff": 2,
        "A.steps": None, "B.steps": 1, "config": "a", "A.config": "a", "B.config": "b",
    }  # fmt: skip
    assert (last["lr"], last["A.loss"], last["B.loss"], last["diff"]) == (5, None, 0, None)
    assert (found.alone(0), found.alone(1), found.changed) == (0, 1, 1)
    assert compare(A, B, goal="min:loss").better(1) == (1, 2)
    assert compare(A, B, goal="max:loss").better(1) == (1, 2)
    few = compare(A, B, goal="min:loss", best=1)
    assert (few.alone(1), few.better(1)) == (1, (1, 2))


def column(name: str, *tables: Table, **query: Any) -> list[Any]:
    return [record[name] for record in compare(*tables, **query).sheet.records()]


def test_some_rows_in_an_order() -> None:
    # The condition holds for one of the tasks at least.
    assert column("lr", A, B, where=parse("loss < 2")) == [0.01, 1, 5]
    assert column("lr", A, B, sort="diff") == [0.01, 0.1, 1, 5]
    assert column("lr", A, B, sort="-A.loss", best=1) == [0.1]
    assert column("lr", A, B, best=2, goal="min:loss") == [5, 0.01]
    assert column("lr", A, B, best=1, highest=True, goal="min:loss") == [0.1]
    found = compare(A, B, columns=["steps"])
    assert [each.name for each in found.telling][-2:] == ["A.steps", "B.steps"]
    with pytest.raises(BadInput, match=r'no column "A.los"\. Did you mean "A.loss"'):
        compare(A, B, sort="A.los")
    assert compare(table_of([]), table_of([]), best=1).sheet.rows == ()


def test_of_more_tasks_each_is_compared_with_the_first() -> None:
    names = [each.name for each in compare(A, B, A).sheet.columns]
    assert [name for name in names if name.endswith("diff")] == ["B.diff", "C.diff"]


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2))), min_size=1, max_size=3)
)
@settings(max_examples=150, deadline=None)
def test_every_row_is_in_one_match(rows: list[list[tuple[str, int]]]) -> None:
    tables = [table(*((path, {"x": x} if x else {}, {}) for path, x in each)) for each in rows]
    matches = matched(tables)
    for place, each in enumerate(tables):
        found = [match[place].job for match in matches if match[place]]  # type: ignore[union-attr]
        assert sorted(found) == [row.job for row in each.rows]
