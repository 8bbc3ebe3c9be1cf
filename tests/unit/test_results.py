"""Rows of results: flat names, columns, which one is best, order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest

from orchestra.domain import flat_values, result_ranking, results
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import direction
from orchestra.domain.results import ColumnSource, Row


def row(job: int, values: Mapping[str, Any], metrics: Mapping[str, Any]) -> Row:
    return Row(job, f"{job}.json", values=values, metrics=metrics)


def names(*rows: Row) -> list[str]:
    table = results.table_of(rows)
    return [
        c.name
        for c in table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH, ColumnSource.METRICS)
    ]


def test_nested_values_are_flat_and_a_list_is_one_value() -> None:
    found = flat_values.flatten({"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, 3: None, "empty": {}})
    assert found == {"a.b.c": 1, "a.d": [1, {"e": 2}], "3": None}


def test_a_file_of_billions_of_values_is_refused() -> None:
    tower: Any = {"x": 1}
    for _ in range(60):  # as an alias in YAML makes it: small to read, without end to write down
        tower = {"left": tower, "right": tower}
    with pytest.raises(ValueError, match="more than 10,000 values"):
        flat_values.flatten(tower)


def test_columns_come_in_the_order_of_their_first_appearance() -> None:
    assert names(row(0, {"lr": 1}, {"loss": 1}), row(1, {"depth": 2, "lr": 1}, {"acc": 1})) == [
        "lr", "depth", "loss", "acc",
    ]  # fmt: skip


def test_what_config_and_metrics_say_alike_is_one_column() -> None:
    both = [row(0, {"seed": 1}, {"seed": 1, "loss": 2}), row(1, {}, {"seed": 7})]
    table = results.table_of(both)
    assert names(*both) == ["seed", "loss"]
    assert [table.find("seed").of(each) for each in both] == [1, 7]
    assert table.find("metrics.seed") == table.find("config.seed") == table.find("seed")


def test_nan_is_what_nan_is() -> None:
    assert names(row(0, {"x": math.nan}, {"x": math.nan, "loss": 1})) == ["x", "loss"]


def test_what_varies() -> None:
    table = results.table_of(
        [
            row(0, {"lr": 1, "m": 1}, {"loss": 1, "v": 1}),
            row(1, {"lr": 1}, {}),
            row(2, {"lr": 1}, {"loss": 2, "v": 1}),
        ]
    )
    assert [
        name for name in ("lr", "m", "loss", "v") if results.varies(table, table.find(name))
    ] == ["m", "loss"]


def test_what_they_say_differently_is_two_columns() -> None:
    table = results.table_of([row(0, {"epochs": 10}, {"epochs": 7})])
    assert names(*table.rows) == ["config.epochs", "metrics.epochs"]
    assert table.find("epochs").of(table.rows[0]) == 7
    assert table.find("config.epochs").of(table.rows[0]) == 10


def test_a_metric_that_is_called_like_a_column_of_ours() -> None:
    table = results.table_of(
        [row(3, {"note": "x"}, {"job": 9, "run.seconds": 1, "metrics.job": 2})]
    )
    record = next(table.records())
    assert record["job"] == 3
    assert record["metrics.job"] == 9
    assert record["metrics.metrics.job"] == 2
    assert record["config.note"] == "x"


def test_records_have_every_column() -> None:
    table = results.table_of([row(0, {"a": 1}, {}), row(1, {}, {"b": [1, 2]})])
    assert [{k: v for k, v in record.items() if k in "ab"} for record in table.records()] == [
        {"a": 1, "b": None},
        {"a": None, "b": [1, 2]},
    ]


def test_an_unknown_column_is_guessed() -> None:
    table = results.table_of([row(0, {}, {"accuracy": 1})])
    with pytest.raises(BadInput, match=r'no column "acuracy"\. Did you mean "accuracy"'):
        table.find("acuracy")


@pytest.mark.parametrize(
    ("name", "highest"),
    [
        ("accuracy", True),
        ("val.f1", True),
        ("rocAUC", True),
        ("top1-acc", True),
        ("test_loss", False),
        ("validationError", False),
        ("score_loss", False),
        ("accuracy_std", None),
        ("epochs", None),
        ("glossary", None),
        ("loss_dice", False),
        ("loss_f1", False),
        ("error.score", False),
        ("valloss.auc", False),
        ("ErrorRecall", False),
        ("losses.accuracy", False),
        ("recall_errors", False),
        ("dice_loss_std", None),
        ("neg_mean_squared_error", None),
    ],
)
def test_a_metric_s_name_says_which_value_is_best(name: str, highest: bool | None) -> None:
    assert direction(name) is highest


def goal(metrics: Mapping[str, Any]) -> tuple[str, bool] | None:
    found = result_ranking.goal(results.table_of([row(0, {"score": 2}, metrics)]))
    return (found.column.key, found.highest) if found else None


def test_which_metric_decides() -> None:
    assert goal({"loss": 1, "seconds": 3}) == ("loss", False)
    assert goal({"loss": 1, "accuracy": 0.5}) == ("accuracy", True)
    assert goal({"train.acc": 1, "val.acc": 1}) == ("val.acc", True)
    assert goal({"train_acc": 1}) == ("train_acc", True)
    assert goal({"auc": 1, "accuracy": 2}) == ("auc", True)
    assert goal({"accuracy": "high", "loss": math.nan, "error": 1}) == ("error", False)
    assert goal({"seconds": 3}) is None
    # Of a task of another one's outputs, which hands the metrics on.
    assert goal({"loss": 1, "score": 2}) == ("score", True)


def test_order_has_what_is_missing_last_either_way() -> None:
    values = [0.5, None, math.nan, 2, True, "a", [1], 0.5]
    table = results.table_of([row(n, {}, {"x": value}) for n, value in enumerate(values)])
    column = table.find("x")
    assert [r.job for r in result_ranking.ordered(table, column, descending=False).rows] == [
        0, 7, 4, 3, 5, 6, 1, 2,
    ]  # fmt: skip
    assert [r.job for r in result_ranking.ordered(table, column, descending=True).rows] == [
        6, 5, 3, 4, 0, 7, 1, 2,
    ]  # fmt: skip


def test_the_best_rows_are_those_that_have_the_metric() -> None:
    table = results.table_of([row(n, {}, {"loss": x}) for n, x in enumerate([3, None, 1, 2])])
    found = result_ranking.goal(table)
    assert found is not None
    assert [r.job for r in result_ranking.best(table, found, 2).rows] == [2, 3]
    assert [r.job for r in result_ranking.best(table, found, 9).rows] == [2, 3, 0]


@pytest.mark.parametrize("found", [{"a": {"b": 1}, "a.b": 2}, {"a.b": 2, "a": {"b": 1}}])
def test_names_that_are_one_when_flat_are_refused(found: Mapping[str, Any]) -> None:
    with pytest.raises(ValueError, match=r'contains "a\.b" twice'):
        flat_values.flatten(found)


NOT_BEST = [math.inf, -math.inf, math.nan, 10**400, -(10**400), None]


@pytest.mark.parametrize("name", ["loss", "accuracy"])
def test_what_is_not_finite_is_never_best(name: str) -> None:
    values = [*NOT_BEST, 2, 0.5, *NOT_BEST]
    table = results.table_of([row(n, {}, {name: value}) for n, value in enumerate(values)])
    found = result_ranking.goal(table)
    assert found is not None
    order = [7, 6] if name == "loss" else [6, 7]
    assert [r.job for r in result_ranking.best(table, found, 9).rows] == order
    assert [r.job for r in result_ranking.best(table, found, 1).rows] == order[:1]


@pytest.mark.parametrize("value", NOT_BEST)
def test_a_metric_without_a_finite_value_does_not_decide(value: Any) -> None:
    assert goal({"accuracy": value, "loss": 1}) == ("loss", False)


@pytest.mark.parametrize("name", ["loss", "accuracy", "anything"])
def test_sort_is_obeyed_whatever_the_name(name: str) -> None:
    table = results.table_of([row(n, {}, {name: value}) for n, value in enumerate((2, 1, 3))])

    def order(sort: str, *, descending: bool = False) -> list[int]:
        highest = True if descending else None
        found, _ = result_ranking.arranged(table, sort=sort, limit=2, highest=highest)
        return [r.job for r in found.rows]

    assert order(name) == [1, 0]
    assert order(f"-{name}") == order(name, descending=True) == [2, 0]
