"""Which rows of a table of results are best: by a column, the task's goal, or the name of a metric. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestra.domain.errors import BadInput
from orchestra.domain.flat_values import as_text, is_finite
from orchestra.domain.goals import StatedGoal, direction, is_of_training
from orchestra.domain.nearest import nearest
from orchestra.domain.results import Column, ColumnSource, Table
from orchestra.domain.wording import Field, Sentence, words

R = TypeVar("R")

_SAY_WHICH: Sentence = words(
    Field.SORT("NAME"), " puts the lowest first, ", Field.SORT("-NAME"), " the highest."
)


@dataclass(frozen=True, slots=True)
class Goal:
    """The column that decides which row is best, and whether the highest or the lowest value is best."""

    column: Column
    highest: bool


def goal(
    table: Table, stated: StatedGoal | None = None, *, highest: bool | None = None
) -> Goal | None:
    """Choose the metric that decides which row is best; None if nothing says which.

    A `stated` goal decides alone, and no row is best if none has its metric. Without one, the names of the metrics do:
    scores (accuracy, auc, f1, score, ...) are preferred to losses (loss, error, ...), and other metrics to training
    metrics; then the first one in the files counts. With `highest`, that direction counts, and a metric that is the
    only one needs no telling name.
    """
    numbers = _with_numbers(table)
    if stated:
        wanted = [column for key in stated.keys for column in numbers if column.key == key]
        return _directed(wanted[0], stated.highest, highest) if wanted else None
    found = []
    for place, column in enumerate(numbers):
        by_name = direction(column.key)
        if by_name is not None:
            found.append((not by_name, is_of_training(column.key), place, column, by_name))
    if found:
        *_, column, by_name = min(found)
        return _directed(column, by_name, highest)
    return Goal(numbers[0], highest) if len(numbers) == 1 and highest is not None else None


def _with_numbers(table: Table) -> list[Column]:
    """The metrics of which at least one value can be best."""
    return [
        column
        for column in table.from_sources(ColumnSource.METRICS, ColumnSource.BOTH)
        if any(is_finite(column.of(row)) for row in table.rows)
    ]


def _directed(column: Column, usual: bool, highest: bool | None) -> Goal:
    return Goal(column, usual if highest is None else highest)


def ordered(table: Table, column: Column, *, descending: bool) -> Table:
    """Sort the rows by a column. Rows without a value come last either way; the sort is stable."""
    return Table(tuple(ordered_by(table.rows, column.of, descending=descending)), table.columns)


def ordered_by(rows: Iterable[R], of: Callable[[R], Any], *, descending: bool) -> list[R]:
    """Sort anything by a value, as `ordered` does."""
    present: list[R] = []
    absent: list[R] = []
    for row in rows:
        (present if _has(of(row)) else absent).append(row)
    present.sort(key=lambda row: _sort_key(of(row)), reverse=descending)
    return [*present, *absent]


def best(table: Table, wanted: Goal, limit: int) -> Table:
    """Return the best rows, best first. Rows without a number are left out if others have one."""
    found = [row for row in table.rows if _can_be_best(wanted.column.of(row))]
    # A text ("diverged") or a boolean cannot be compared with numbers.
    judged = [row for row in found if is_finite(wanted.column.of(row))] or found
    rows = ordered(Table(tuple(judged), ()), wanted.column, descending=wanted.highest).rows
    return Table(rows[:limit], table.columns)


def arranged(
    table: Table,
    *,
    sort: str | None = None,
    limit: int | None = None,
    stated: StatedGoal | None = None,
    highest: bool | None = None,
) -> tuple[Table, Column | None]:
    """Sort the rows as requested; return the table and the deciding column, None if they stay in job order.

    Args:
        sort: a column, the lowest value first; `-NAME` puts the highest first.
        limit: return only so many of the best rows; without `sort`, by the goal.
        stated: the task's goal. Of its metric, the best rows are those that it says.
        highest: whether the highest value comes first; it outweighs the goal and the name of a metric.

    Raises:
        BadInput: there is no such column, nothing tells which rows are best, or two wishes contradict each other.
    """
    if not table.rows or not (sort or limit):
        return table, None
    wanted = (
        _by_sort(table, sort, limit, stated, highest)
        if sort
        else needed_goal(table, stated, highest)
    )
    if limit:
        return best(table, wanted, limit), wanted.column
    return ordered(table, wanted.column, descending=wanted.highest), wanted.column


def _by_sort(
    table: Table, sort: str, limit: int | None, stated: StatedGoal | None, highest: bool | None
) -> Goal:
    name, said = sorted_by(sort, [column.name for column in table.columns], highest)
    column = table.find(name)
    of_goal = goal(table, stated) if stated and limit else None
    usual = of_goal.highest if of_goal and of_goal.column == column else False
    return _directed(column, usual, said)


def sorted_by(sort: str, known: Collection[str], highest: bool | None) -> tuple[str, bool | None]:
    """Return the name in `NAME` or `-NAME`, and whether the highest value comes first if that is said.

    Raises:
        BadInput: a column is named "-NAME", or the minus contradicts `highest`.
    """
    name = sort.removeprefix("-")
    if sort == name:
        return name, highest
    if sort in known:
        raise BadInput(
            f'"{sort}" is a column, but could also mean "{name}", highest first.',
            hint=words(Field.SORT(f"metrics.{sort}"), " or ", Field.SORT(f"-metrics.{sort}")),
        )
    if highest is False:
        raise BadInput(
            words(Field.SORT(sort), " and ", Field.DIRECTION("min"), " contradict each other.")
        )
    return name, True


def needed_goal(table: Table, stated: StatedGoal | None, highest: bool | None) -> Goal:
    """Return what `goal` returns.

    Raises:
        BadInput: nothing tells which rows are best.
    """
    found = goal(table, stated, highest=highest)
    if found:
        return found
    if stated:
        guess = nearest(stated.metric, [column.key for column in _with_numbers(table)])
        raise BadInput(
            f'no result has a number named "{stated.metric}", the metric of the task\'s goal.'
            + (f' Did you mean "{guess}"?' if guess else ""),
            hint=words(Field.SORT("NAME"), " takes another column."),
        )
    raise BadInput("no metric's name tells which rows are best.", hint=_SAY_WHICH)


def _has(value: Any) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _can_be_best(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_finite(value) if is_number else value is not None


def _sort_key(value: Any) -> tuple[int, Any]:
    if isinstance(value, int | float):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, as_text(value))
