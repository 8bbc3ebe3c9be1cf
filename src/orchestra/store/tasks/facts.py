"""Facts about one task besides its row: failures, effort, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from orchestra.domain.models.changed_inputs import COUNTED_AT_MOST, ChangedInputs
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt, FailureGroup
from orchestra.domain.models.results import RunPlace
from orchestra.domain.states import Cause
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/tasks")


EFFORT_SAMPLE = 10_000
"""Attempts that are read to estimate the effort of a task."""


@dataclass(frozen=True, slots=True)
class Effort:
    """What attempts have used so far; for large tasks, the first 10,000 of them."""

    attempts: int
    cpu_seconds: float | None
    seconds: float | None


def doubts(conn: psycopg.Connection, task: int) -> ChangedInputs:
    return ChangedInputs(**fetch(conn, SQL.doubts, {"task": task, "limit": COUNTED_AT_MOST})[0])


def failures(conn: psycopg.Connection, task: int) -> list[FailureGroup]:
    """Return a task's failures by kind, most frequent first."""
    return [
        FailureGroup(row.pop("jobs"), config=row.pop("config") or "", example=failed_attempt(row))
        for row in fetch(conn, SQL.failures, {"task": task})
    ]


def failed_attempt(row: dict[str, Any]) -> FailedAttempt:
    """Build a FailedAttempt from a row."""
    return FailedAttempt(**row | {"cause": Cause(row["cause"])})


def effort(conn: psycopg.Connection, task: int) -> Effort:
    return Effort(**fetch(conn, SQL.effort, {"task": task, "limit": EFFORT_SAMPLE})[0])


def places(conn: psycopg.Connection, task: int) -> list[RunPlace]:
    """Return where a task's attempts ran, the most frequent place first; of large tasks, the first 10,000 attempts."""
    rows = fetch(conn, SQL.places, {"task": task, "limit": EFFORT_SAMPLE})
    return [RunPlace(**row) for row in rows]


def events(conn: psycopg.Connection, task: int, *, limit: int) -> list[Event]:
    """Return the newest events of a task itself (not of its jobs), oldest first."""
    rows = fetch(conn, load("cluster/events").of_task, {"task": task, "limit": limit})
    return [Event(**row) for row in reversed(rows)]
