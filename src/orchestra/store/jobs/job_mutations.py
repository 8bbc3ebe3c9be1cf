"""Changes to the states of many jobs, or of chosen ones. Only reports change other jobs.

Every function runs inside the caller's transaction and requires the task to be locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from orchestra.domain.states import JobState
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("jobs/job_mutations")


@dataclass(frozen=True, slots=True)
class LockedJob:
    index: int
    state: JobState
    is_test: bool
    claimed: bool
    removed: bool


def release_test_jobs(conn: psycopg.Connection, task: int, limit: int) -> int:
    return conn.execute(SQL.release_test_jobs, {"task": task, "limit": limit}).rowcount


def mark_test_jobs(conn: psycopg.Connection, task: int, limit: int) -> None:
    conn.execute(SQL.mark_test_jobs, {"task": task, "limit": limit})


def replace_test_jobs(conn: psycopg.Connection, task: int, limit: int) -> None:
    conn.execute(SQL.replace_test_jobs, {"task": task, "limit": limit})


def release_jobs(conn: psycopg.Connection, task: int, limit: int) -> int:
    return conn.execute(SQL.release_jobs, {"task": task, "limit": limit}).rowcount


def end_test_marks(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.end_test_marks, {"task": task})


def end_test(conn: psycopg.Connection, task: int) -> int:
    """Withdraw waiting test jobs, ask running ones to end, and return how many these are."""
    withdrawn = conn.execute(SQL.withdraw_test_jobs, {"task": task}).rowcount
    return withdrawn + conn.execute(SQL.ask_test_jobs_to_end, {"task": task}).rowcount


def ask_jobs_to_end(conn: psycopg.Connection, task: int) -> int:
    return conn.execute(SQL.ask_jobs_to_end, {"task": task}).rowcount


def break_jobs(conn: psycopg.Connection, task: int, first: int, following: int) -> int:
    params = {"task": task, "first": first, "next": following}
    return conn.execute(SQL.break_jobs, params).rowcount


def kill_jobs(conn: psycopg.Connection, task: int, first: int, following: int) -> int:
    params = {"task": task, "first": first, "next": following}
    return conn.execute(SQL.kill_jobs, params).rowcount


def retry_jobs(
    conn: psycopg.Connection, task: int, first: int, following: int, *, every: bool, turn: int
) -> int:
    params = {"task": task, "first": first, "next": following, "all": every, "turn": turn}
    return conn.execute(SQL.retry_jobs, params).rowcount


def lock_jobs(conn: psycopg.Connection, task: int, indexes: Sequence[int]) -> list[LockedJob]:
    rows = fetch(conn, SQL.lock_jobs, {"task": task, "indexes": list(indexes)})
    return [
        LockedJob(
            row["ordinal"], JobState(row["state"]), row["is_test"], row["claimed"], row["removed"]
        )
        for row in rows
    ]


def retry_chosen_jobs(conn: psycopg.Connection, task: int, indexes: Sequence[int]) -> None:
    """Retry jobs, first in line."""
    conn.execute(SQL.retry_chosen_jobs, {"task": task, "indexes": list(indexes)})


def readmit_test_jobs(conn: psycopg.Connection, task: int) -> int:
    """Release the retried jobs of a running test, and return how many."""
    return conn.execute(SQL.readmit_test_jobs, {"task": task}).rowcount


def kill_chosen_jobs(conn: psycopg.Connection, task: int, indexes: Sequence[int]) -> None:
    """Kill waiting jobs at once, and ask running ones to end."""
    params = {"task": task, "indexes": list(indexes)}
    conn.execute(SQL.ask_chosen_jobs_to_end, params)
    conn.execute(SQL.kill_waiting_jobs, params)
