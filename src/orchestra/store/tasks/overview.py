"""The tasks of an overview, and the jobs that ended lately."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import LiteralString

import psycopg

from orchestra.domain.attention import EndedTask
from orchestra.domain.models.overview import HOURS, HourlyEnds
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import tasks

SQL = load("tasks/overview")
LATELY = 14 * 86400.0
"""Seconds for which failures are told."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest live tasks of all `live_tasks`, those that ended with failures, and the waiting jobs by queue."""

    now: datetime
    live: Sequence[Task]
    live_tasks: int
    ended: Sequence[EndedTask]
    waiting: Mapping[Queue, int]


def read(conn: psycopg.Connection, *, owner: str | None, live: int, ended: int) -> Seen:
    """Return what an overview tells of tasks, at most so many."""
    sums = fetch(conn, SQL.sums, {"owner": owner})
    over = _tasks(conn, SQL.ended, {"owner": owner, "limit": ended, "seconds": LATELY})
    reasons = fetch(conn, SQL.reasons, {"tasks": [task.id for task in over]}) if over else []
    why = {row["id"]: row["why"] for row in reasons}
    return Seen(
        now=tasks.now(conn),
        live=_tasks(conn, SQL.live, {"owner": owner, "limit": live}),
        live_tasks=sum(row["tasks"] for row in sums),
        ended=[EndedTask(task, why.get(task.id)) for task in over],
        waiting=dict.fromkeys(Queue, 0) | {Queue(row["queue"]): row["waiting"] for row in sums},
    )


def _tasks(
    conn: psycopg.Connection, which: LiteralString, params: Mapping[str, str | int | float | None]
) -> list[Task]:
    rows = fetch(conn, tasks.SQL.select_task + "\n" + which, params)
    return [tasks.task_from_row(row) for row in rows]


def hourly_ends(conn: psycopg.Connection) -> list[HourlyEnds]:
    """Return how many jobs ended in each of the last hours in which any did."""
    rows = fetch(conn, SQL.hourly_ends, {"hours": HOURS})
    return [HourlyEnds(row["hour"].astimezone(UTC), row["done"], row["failed"]) for row in rows]
