"""Releases and withdrawals of jobs of tasks with max_running. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import psycopg

from orchestra.domain.running_limit import Places
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("jobs/running_limit")


@dataclass(frozen=True, slots=True)
class LimitedTask:
    """A task with max_running and its places. `is_open`: its jobs, or those of its test, may be released."""

    id: int
    queue: Queue
    testing: bool
    is_open: bool
    places: Places


def read(conn: psycopg.Connection, tasks: Collection[int]) -> list[LimitedTask]:
    """Return those of the tasks that have max_running, by id."""
    return [
        LimitedTask(
            row["id"],
            Queue(row["queue"]),
            row["testing"],
            row["is_open"],
            Places(row["max_running"], row["taken"], row["unclaimed"]),
        )
        for row in fetch(conn, SQL.places, {"tasks": list(tasks)})
    ]


def limited_tasks(conn: psycopg.Connection) -> list[int]:
    """Return the live tasks that have max_running, by id."""
    return [row["id"] for row in fetch(conn, SQL.limited_tasks)]


def first_claimable(conn: psycopg.Connection, tasks: Collection[int]) -> dict[int, datetime]:
    """Return since when the first claimable job of each task is one, if it has one."""
    rows = fetch(conn, SQL.first_claimable, {"tasks": list(tasks)})
    return {row["id"]: row["changed_at"] for row in rows}


def release(conn: psycopg.Connection, task: LimitedTask, limit: int) -> tuple[int, int]:
    """Release up to `limit` jobs: those whose delay before a retry is over, then the next ones; return how many each.

    While the task is tested, only jobs of the test.
    """
    due = 0 if task.testing else _change(conn, SQL.release_due_jobs, task.id, limit)
    following = SQL.release_next_test_jobs if task.testing else SQL.release_next_jobs
    return due, _change(conn, following, task.id, limit - due)


def withdraw(conn: psycopg.Connection, task: int, limit: int) -> int:
    """Withdraw up to `limit` jobs that no pilot has claimed, and return how many."""
    return _change(conn, SQL.withdraw_jobs, task, limit)


def _change(conn: psycopg.Connection, statement: str, task: int, limit: int) -> int:
    if limit <= 0:
        return 0
    return conn.execute(statement, {"task": task, "limit": limit}).rowcount
