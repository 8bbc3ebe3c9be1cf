"""The best results of a task that has ended, for its notification.

They are read from the database alone: the process that sends mail opens no file of the recipients. Jobs' metrics came
with their outcomes; how much of them is read here does not depend on the number of jobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from orchestra.domain import metrics, result_ranking
from orchestra.domain import results as domain
from orchestra.domain.documents import Unusable
from orchestra.domain.goals import StatedGoal, parse_goal
from orchestra.domain.models.tasks import Task
from orchestra.domain.notifications import BestResults, BestRow
from orchestra.domain.results import Column, ColumnSource, Row, Table
from orchestra.store.jobs import metrics as store
from orchestra.store.tasks import tasks as task_store

ROWS = 3
_COLUMNS = 4
_OTHERS = 20
"""Rows from all over the task, to see which values vary even where the best rows share one."""
_FIRST = 100
"""Results that are read to find the metric that ranks them."""


def best_results(conn: psycopg.Connection, task: int) -> BestResults | None:
    """Return up to three of a task's best jobs, or None if neither its goal nor a metric's name ranks them.

    Called when the mail is sent, outside of any transaction.
    """
    found = task_store.by_id(conn, task)
    foremost = found and best_jobs(conn, found, ROWS)
    if not found or not foremost:  # deleted in the meantime, perhaps
        return None
    key, indexes = foremost
    others = store.sample(conn, task, found.jobs, _OTHERS)
    jobs = store.of_jobs(conn, task, [*indexes, *others])
    rows = [_row(found, jobs[index]) for index in indexes if index in jobs]
    table = domain.table_of(rows)
    wanted = table.find(f"metrics.{key}")
    beside = [_row(found, jobs[index]) for index in others if index in jobs]
    columns = (wanted, *telling(table, beside, wanted))
    return BestResults(
        columns=tuple(column.name for column in columns),
        rows=tuple(
            BestRow(f"{task}/{row.job}", tuple(_shown(column.of(row)) for column in columns))
            for row in table.rows
        ),
    )


def best_jobs(conn: psycopg.Connection, task: Task, limit: int) -> tuple[str, list[int]] | None:
    """Return the metric that ranks a task's results, and its best jobs; None if none does, or no job reported it."""
    goal = _goal(conn, task)
    if goal is None:
        return None
    for key in goal.keys:
        indexes = store.best(conn, task.id, task.jobs, key, limit, highest=goal.highest)
        if indexes:
            return key, indexes
    return None


def _goal(conn: psycopg.Connection, task: Task) -> StatedGoal | None:
    """Return the task's goal, or the metric whose name ranks the results; among equals, the first in the file."""
    if task.goal:
        return parse_goal(task.goal)
    first = store.first(conn, task.id, _FIRST)
    if not first:
        return None
    jobs = store.of_jobs(conn, task.id, [first[0].index])
    order = [name for each in jobs.values() for name in _metrics(task, each.metrics)]
    rows = [Row(each.index, "", metrics=_in_order(each.numbers, order)) for each in first]
    by_name = result_ranking.goal(domain.table_of(rows))
    return StatedGoal(by_name.column.key, by_name.highest) if by_name else None


def _in_order(numbers: Mapping[str, Any], order: list[str]) -> dict[str, Any]:
    """Return numbers in the order of their file where it is known; the database does not keep it."""
    known = {name: numbers[name] for name in order if name in numbers}
    return {**known, **numbers}


def _row(task: Task, job: store.JobMetrics) -> Row:
    return Row(
        job.index,
        job.path or "",
        values=_config(job),
        metrics=_metrics(task, job.metrics),
    )


def _metrics(task: Task, text: str) -> dict[str, Any]:
    try:
        return metrics.of_text(task.metrics_file, text)
    except Unusable:
        return {}


def _config(job: store.JobMetrics) -> dict[str, Any]:
    if job.config is None or job.path is None:
        return {}
    try:
        if job.is_output:
            return metrics.of_text(job.config_name or "", job.config)
        return metrics.of_config(job.path, job.config)
    except Unusable:
        return {}


def telling(table: Table, beside: list[Row], wanted: Column) -> list[Column]:
    """Return the config values that differ among the best rows, then those that differ from other rows."""
    best, all_ = table.rows, (*table.rows, *beside)
    others = [
        c for c in table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH) if c.key != wanted.key
    ]
    others.sort(key=lambda column: (_is_same(best, column), _is_same(all_, column)))
    return others[: _COLUMNS - 1]


def _is_same(rows: tuple[Row, ...], column: Column) -> bool:
    return len({_shown(column.of(row)) for row in rows}) == 1


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
