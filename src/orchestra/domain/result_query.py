"""What can be asked of a task's results: which rows, in which order, in which groups. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.domain import result_groups, result_ranking, results, where
from orchestra.domain.goals import StatedGoal
from orchestra.domain.result_groups import Group, Groups
from orchestra.domain.result_ranking import Goal
from orchestra.domain.results import Column, Table
from orchestra.domain.sheets import Sheet
from orchestra.domain.where import Condition


@dataclass(frozen=True, slots=True)
class ResultQuery:
    """What is asked of results; by default all of them in job order.

    Args:
        where: only the rows for which this holds.
        group_by: the columns whose values rows of one group share.
        sort: the column to sort by, "-NAME" for the highest value first.
        best: return only so many of the best rows or groups.
        highest: whether the highest value is best, if that is said.
        columns: only these columns; of groups, only these metrics.
    """

    where: Condition | None = None
    group_by: Sequence[str] = ()
    sort: str | None = None
    best: int | None = None
    highest: bool | None = None
    columns: Sequence[str] | None = None


def matching(table: Table, query: ResultQuery) -> Table:
    """Return the rows that are asked for, in job order.

    Raises:
        BadInput: there is no such column.
    """
    return table if query.where is None else where.matching(table, query.where)


def rows(
    table: Table, query: ResultQuery, stated: StatedGoal | None
) -> tuple[Table, Column | None]:
    """Return the rows in the order asked for, of those that match; and the column that decided it.

    Raises:
        BadInput: there is no such column, or nothing tells which rows are best.
    """
    chosen, by = result_ranking.arranged(
        table, sort=query.sort, limit=query.best, stated=stated, highest=query.highest
    )
    return chosen if query.columns is None else results.with_columns(chosen, query.columns), by


def groups(
    table: Table, query: ResultQuery, stated: StatedGoal | None
) -> tuple[Groups, Sheet[Group]]:
    """Return the rows in groups, and these as a table in the order asked for.

    Raises:
        BadInput: there is no such column, one without numbers, or nothing tells which groups are best.
    """
    goal: Goal | None
    if query.best and not query.sort and table.rows:
        goal = result_ranking.needed_goal(table, stated, query.highest)
    else:
        goal = result_ranking.goal(table, stated, highest=query.highest)
    found = result_groups.grouped(table, query.group_by, metrics=query.columns, goal=goal)
    return found, result_groups.arranged(
        found, sort=query.sort, limit=query.best, highest=query.highest, stated=stated is not None
    )
