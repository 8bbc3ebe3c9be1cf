"""Groups of results: which rows share one, and what is said of their metrics."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.domain import result_groups, result_query
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import parse_goal
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.results import Row, Table, table_of
from orchestra.domain.summaries import Summary, summary


def table(*rows: tuple[Mapping[str, Any], Mapping[str, Any]]) -> Table:
    return table_of([Row(n, "", values=v, metrics=m) for n, (v, m) in enumerate(rows)])


SEEDS = table(
    ({"lr": 0.1, "seed": 0}, {"acc": 0.5, "loss": 1, "ok": True}),
    ({"lr": 0.01, "seed": 0}, {"acc": 0.9, "loss": 3, "ok": True}),
    ({"lr": 0.1, "seed": 1}, {"acc": 0.7, "loss": 2, "ok": False}),
    ({"lr": 0.01, "seed": 1}, {"acc": math.nan, "loss": 5, "ok": "no"}),
)


def records(rows: Table, goal: str | None = None, **query: Any) -> list[dict[str, Any]]:
    stated = parse_goal(goal) if goal else None
    _, sheet = result_query.groups(rows, ResultQuery(**query), stated)
    return list(sheet.records())


def test_a_group_has_mean_deviation_count_and_best() -> None:
    assert records(SEEDS, group_by=["lr"]) == [
        {
            "lr": 0.01, "n": 2, "best": 0.9, "best.job": 1,
            "acc.mean": 0.9, "acc.std": None, "acc.n": 1,
            "loss.mean": 4.0, "loss.std": pytest.approx(math.sqrt(2)), "loss.n": 2,
        },
        {
            "lr": 0.1, "n": 2, "best": 0.7, "best.job": 2,
            "acc.mean": 0.6, "acc.std": pytest.approx(0.1 * math.sqrt(2)), "acc.n": 2,
            "loss.mean": 1.5, "loss.std": pytest.approx(math.sqrt(0.5)), "loss.n": 2,
        },
    ]  # fmt: skip


def test_what_is_not_a_number_is_left_out_and_named() -> None:
    groups, _ = result_query.groups(SEEDS, ResultQuery(group_by=["lr"]), None)
    assert [column.name for column in groups.left_out] == ["ok"]
    with pytest.raises(BadInput, match='"ok" has no numbers, so no mean'):
        records(SEEDS, group_by=["lr"], columns=["acc", "ok"])


def test_the_goal_decides_what_is_best_and_stands_first() -> None:
    first, second = records(SEEDS, goal="max:loss", group_by=["lr"])
    assert [(each["best"], each["best.job"]) for each in (first, second)] == [(5, 3), (2, 2)]
    assert list(first)[4] == "loss.mean"
    assert records(SEEDS, group_by=["lr"], highest=False)[1]["best"] == 0.5
    assert "best" not in records(SEEDS, goal="max:nothing", group_by=["lr"])[0]


def keys(rows: Table, name: str = "lr", **query: Any) -> list[Any]:
    return [record[name] for record in records(rows, **{"group_by": [name], **query})]


def test_groups_can_be_sorted_and_the_best_taken() -> None:
    assert keys(SEEDS, sort="lr") == [0.01, 0.1]
    assert keys(SEEDS, sort="-lr") == keys(SEEDS, sort="loss") == [0.1, 0.01]
    assert keys(SEEDS, sort="loss.mean", highest=True) == keys(SEEDS, sort="-loss") == [0.01, 0.1]
    assert keys(SEEDS, best=1) == keys(SEEDS, best=1, sort="-acc") == [0.01]
    assert keys(SEEDS, best=1, columns=["loss"]) == [0.01]
    assert keys(SEEDS, best=1, highest=False) == keys(SEEDS, best=1, sort="acc") == [0.1]
    assert keys(SEEDS, best=1, sort="acc", goal="max:acc") == [0.01]
    with pytest.raises(BadInput, match=r'no column "lrr"\. Did you mean "lr"'):
        keys(SEEDS, sort="lrr")
    with pytest.raises(BadInput, match="no metric's name tells"):
        keys(table(({"lr": 1}, {"chi": 1, "t": 2})), best=1)


def test_groups_come_in_the_natural_order_of_their_values() -> None:
    values = ["run10", "run2", None, 3, True, [2], 2.0, 2, math.nan, math.nan, 10**400, 1, "1"]
    rows = table(*(({"x": value}, {"loss": 1}) for value in values))
    found = records(rows, group_by=["x"])
    assert [(each["x"], each["n"]) for each in found if each["x"] == each["x"]] == [
        (1, 1), (2.0, 2), (3, 1), (10**400, 1), ("1", 1), ("run2", 1), ("run10", 1), (True, 1), ([2], 1), (None, 1),
    ]  # fmt: skip
    assert [each["n"] for each in found if each["x"] != each["x"]] == [2]


def test_values_may_have_the_names_of_columns() -> None:
    rows = table(({"n": 5, "best": 1, "a.mean": 2}, {"a": 1, "loss": 2}))
    (found,) = records(rows, group_by=["n", "best", "a.mean"])
    assert (found["n"], found["group.n"], found["best"], found["group.best"]) == (5, 1, 1, 2)
    assert (found["a.mean"], found["group.a.mean"]) == (2, 1.0)


def test_any_column_can_make_groups_or_be_summarized() -> None:
    rows = table_of([Row(n, "", node="ab"[n % 2], seconds=n, metrics={"acc": n}) for n in range(4)])
    found = records(rows, group_by=["run.node"], columns=["run.seconds"])
    assert [(each["run.node"], each["run.seconds.mean"]) for each in found] == [("a", 1), ("b", 2)]


def test_without_rows_there_are_no_groups() -> None:
    assert records(table_of([]), group_by=["lr"], best=3, sort="acc") == []


def test_people_see_a_metric_s_count_only_where_it_differs() -> None:
    groups, sheet = result_query.groups(SEEDS, ResultQuery(group_by=["lr"]), None)
    shown = [column.name for column in result_groups.telling(groups, sheet)]
    assert "acc.n" in shown
    assert "loss.n" not in shown


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([], Summary(0)),
        ([3], Summary(1, 3.0)),
        ([0.1, 0.1, 0.1], Summary(3, 0.1, 0.0)),
        ([1e16 + 2, 1e16, 1e16 - 2], Summary(3, 1e16, 2.0)),
        ([1.7e308, 1.7e308], Summary(2, 1.7e308, 0.0)),
        ([1.7e308, -1.7e308], Summary(2, 0.0, math.inf)),
        ([5e-324, 5e-324], Summary(2, 5e-324, 0.0)),
        ([0, 0], Summary(2, 0.0, 0.0)),
        ([2**60, 2**60 + 2**10, 2**60 + 2**11], Summary(3, float(2**60 + 2**10), 1024.0)),
    ],
)
def test_mean_and_deviation_are_sound(numbers: Sequence[float], expected: Summary) -> None:
    assert summary(numbers) == expected


@given(st.lists(st.floats(-1e150, 1e150), min_size=2, max_size=30))
@settings(max_examples=200, deadline=None)
def test_mean_and_deviation_agree_with_exact_arithmetic(numbers: list[float]) -> None:
    found = summary(numbers)
    size = max(map(abs, numbers))
    assert found.mean == pytest.approx(statistics.mean(numbers), rel=1e-12, abs=1e-12 * size)
    assert found.std == pytest.approx(statistics.stdev(numbers), rel=1e-12, abs=1e-12 * size)
