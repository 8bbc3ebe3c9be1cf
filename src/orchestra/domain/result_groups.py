"""Groups of results with equal values, such as the seeds of one setting: mean, deviation and best. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from orchestra.domain import result_ranking
from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text, is_finite
from orchestra.domain.human import listed
from orchestra.domain.naming import natural_key
from orchestra.domain.result_ranking import Goal, best, ordered_by
from orchestra.domain.results import JOB, Column, ColumnSource, Row, Table
from orchestra.domain.sheets import Sheet, SheetColumn
from orchestra.domain.summaries import Summary, summary

BEST, BEST_JOB = "best", "best.job"
MEAN, STD, COUNT = "mean", "std", "n"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with equal values in some columns.

    Args:
        summaries: of each metric, over the rows in which it is a finite number.
        best: the row with the best value of the goal's metric, if there is one.
    """

    rows: tuple[Row, ...]
    summaries: tuple[Summary, ...]
    best: Row | None = None


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups in the natural order of their values.

    Args:
        by: the columns whose values are equal within a group.
        metrics: the columns that are summarized.
        goal: what is best, None if nothing says so.
        left_out: the metrics without numbers, which have no mean.
    """

    rows: tuple[Group, ...]
    by: tuple[Column, ...]
    metrics: tuple[Column, ...]
    goal: Goal | None
    left_out: tuple[Column, ...] = ()


def grouped(
    table: Table, names: Sequence[str], *, metrics: Sequence[str] | None, goal: Goal | None
) -> Groups:
    """Group rows by the values of columns.

    Args:
        metrics: the columns to summarize; by default all metrics that have numbers, that of the goal first.

    Raises:
        BadInput: there is no such column, or one to summarize has no numbers.
    """
    if not table.rows:  # perhaps none yet, so that no column is known
        return Groups((), tuple(filter(None, map(table.look_up, names))), (), None)
    by = tuple(dict.fromkeys(map(table.find, names)))
    chosen, left_out = _metrics(table, by, metrics, goal)
    parts: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.rows:
        parts.setdefault(tuple(order_key(column.of(row)) for column in by), []).append(row)
    rows = tuple(_group(parts[key], chosen, goal) for key in sorted(parts))
    return Groups(rows, by, chosen, goal, left_out)


def _metrics(
    table: Table, by: Sequence[Column], names: Sequence[str] | None, goal: Goal | None
) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """Return the columns to summarize, and the metrics that cannot be."""
    if names is None:
        wanted = [each for each in table.from_sources(ColumnSource.METRICS) if each not in by]
        if goal and goal.column in wanted:
            wanted.remove(goal.column)
            wanted.insert(0, goal.column)
    else:
        wanted = [column for column in map(table.find, names) if column not in by]
    numbers = [column for column in wanted if any(is_finite(column.of(row)) for row in table.rows)]
    others = [column for column in wanted if column not in numbers]
    if names is not None and others:
        named = listed([f'"{column.name}"' for column in others])
        raise BadInput(f"{named} {'has' if len(others) == 1 else 'have'} no numbers, so no mean.")
    return tuple(numbers), tuple(others)


def _group(rows: Sequence[Row], metrics: Sequence[Column], goal: Goal | None) -> Group:
    numbers = [[x for x in map(column.of, rows) if is_finite(x)] for column in metrics]
    first = None
    if goal and any(is_finite(goal.column.of(row)) for row in rows):
        first = best(Table(tuple(rows), ()), goal, 1).rows[0]
    return Group(tuple(rows), tuple(map(summary, numbers)), first)


def order_key(value: Any) -> tuple[int, Any]:
    """A key that is equal for equal values: numbers, then texts in natural order, booleans, lists, NaN, missing ones.

    Python's `True == 1` is not wanted here, its `1 == 1.0` is.
    """
    if value is None:
        return 5, 0
    if isinstance(value, bool):
        return 2, value
    if isinstance(value, int | float):
        return (0, value) if value == value else (4, 0)
    return (1, natural_key(value)) if isinstance(value, str) else (3, natural_key(as_text(value)))


def sheet(groups: Groups) -> Sheet[Group]:
    """Return groups as a table: the common values, n, the best, and for each metric mean, deviation and n.

    The group's own `n` counts its rows, and `NAME.n` those in which the metric is a finite number.
    """
    columns: dict[str, SheetColumn[Group]] = {}

    def add(
        name: str, of: Callable[[Group], Any], *, is_number: bool = False, is_job: bool = False
    ) -> None:
        while name in columns:  # a value may have any name, also "n"
            name = f"group.{name}"
        columns[name] = SheetColumn(name, of, is_number, is_job)

    for column in groups.by:
        add(column.name, partial(_common, column), is_job=column == JOB)
    add(COUNT, lambda group: len(group.rows), is_number=True)
    if groups.goal:
        key = groups.goal.column
        add(BEST, lambda group: key.of(group.best) if group.best else None, is_number=True)
        add(BEST_JOB, lambda group: group.best.job if group.best else None, is_job=True)
    for place, column in enumerate(groups.metrics):
        for part in (MEAN, STD, COUNT):
            add(f"{column.name}.{part}", partial(_part, place, part), is_number=True)
    return Sheet(groups.rows, tuple(columns.values()))


def telling(groups: Groups, made: Sheet[Group]) -> list[SheetColumn[Group]]:
    """Return the columns that people need: without `NAME.n` where a metric has a number in all rows."""
    first = len(groups.by)
    return [
        column
        for place, column in enumerate(made.columns)
        if place < first
        or not column.name.endswith(f".{COUNT}")
        or any(column.of(group) != len(group.rows) for group in made.rows)
    ]


def _common(column: Column, group: Group) -> Any:
    return column.of(group.rows[0])


def _part(place: int, part: str, group: Group) -> Any:
    return getattr(group.summaries[place], part)


def arranged(
    groups: Groups,
    *,
    sort: str | None = None,
    limit: int | None = None,
    highest: bool | None = None,
    stated: bool = False,
) -> Sheet[Group]:
    """Return groups as a table, in the order asked for, or in that of their values.

    Args:
        sort: a column of this table, or a metric for its mean; `-NAME` for the highest first.
        limit: only so many of the best groups: by the mean of the goal's metric, or by `sort`.
        highest: whether the highest value comes first, if that is said.
        stated: the goal was stated with the task, so that it also decides which values of `sort` are best.

    Raises:
        BadInput: there is no such column, or two wishes contradict each other.
    """
    made, goal = sheet(groups), groups.goal
    if not groups.rows or not (sort or limit):
        return made
    if sort:
        known = [column.name for column in made.columns]
        name, descending = result_ranking.sorted_by(sort, known, highest)
        mean = f"{name}.{MEAN}"
        of = made.find(mean if name not in known and mean in known else name).of
        if descending is None and limit and stated and goal and goal.column.name == name:
            descending = goal.highest
    else:
        assert goal is not None  # a limit without any order is refused before
        descending, of = goal.highest, partial(_mean, goal.column)
    rows = ordered_by(groups.rows, of, descending=bool(descending))
    return Sheet(tuple(rows[:limit]), made.columns)


def _mean(column: Column, group: Group) -> float | None:
    return summary([x for x in map(column.of, group.rows) if is_finite(x)]).mean
