"""Claim cursors: where claims from a task start to search. No job below a task's cursor is claimable."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.store.driver.sql import load

SQL = load("work/claim_cursors")
STEP, STEP_PER_JOB = 256, 16
"""Jobs that a claim may skip before its task's cursors are advanced, and as many more for each job that it asks for."""


def step(limit: int) -> int:
    return STEP + STEP_PER_JOB * limit


def advance(conn: psycopg.Connection, task: int, limit: int) -> None:
    """Move the cursors of a task on to its first claimable jobs, unless another transaction is doing it.

    Call it in a transaction of its own, so that it does not hold locks that others wait for.
    """
    conn.execute(SQL.advance, {"task": task, "step": step(limit)})


def reset(conn: psycopg.Connection, tasks: Sequence[int]) -> bool:
    """Let claims from these tasks start at the first job again; True if a cursor was removed."""
    params = {"tasks": sorted(tasks)}
    conn.execute(SQL.lock, params)
    return conn.execute(SQL.reset, params).rowcount > 0
