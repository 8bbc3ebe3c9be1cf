"""Facts about one task besides its row: failures, effort, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestra.domain import log_lines
from orchestra.domain.failure_groups import Ending, grouped
from orchestra.domain.models.changed_inputs import COUNTED_AT_MOST, ChangedInputs
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt, FailureGroup
from orchestra.domain.models.results import RunPlace
from orchestra.domain.states import Cause
from orchestra.store.driver.columns import Ints
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/tasks")


FAILURES_READ = 1_000
"""Failed jobs of a task that are grouped, at most."""
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


def endings(conn: psycopg.Connection, task: int) -> list[Ending]:
    """Return how the failed attempts of a task ended, by job; of large tasks, the first 1,000 of them."""
    params = {"task": task, "limit": FAILURES_READ, "bytes": log_lines.END}
    rows = fetch(conn, SQL.failed_attempts, params)
    return [Ending(**row | {"cause": Cause(row["cause"])}) for row in rows]


def examples(
    conn: psycopg.Connection, task: int, chosen: Sequence[Ending]
) -> dict[int, tuple[FailedAttempt, str]]:
    """Return some of them with the stored ends of their logs and their configs, by job."""
    params = {
        "task": task,
        "indexes": Ints([ending.index for ending in chosen]),
        "numbers": Ints([ending.number for ending in chosen]),
    }
    rows = fetch(conn, SQL.failure_examples, params) if chosen else []
    configs = [row.pop("config") or "" for row in rows]
    attempts = [failed_attempt(row) for row in rows]
    return {each.index: (each, config) for each, config in zip(attempts, configs, strict=True)}


def failures(conn: psycopg.Connection, task: int) -> list[FailureGroup]:
    """Return a task's failures by reason, most frequent first."""
    groups = [group for _, group in grouped(endings(conn, task), lambda ending: ending.reason)]
    found = examples(conn, task, [group[0] for group in groups])
    return [FailureGroup(len(group), *found[group[0].index]) for group in groups]


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
