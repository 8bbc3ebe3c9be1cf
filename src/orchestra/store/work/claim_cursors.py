"""Claim cursors: where claims from a task start to search. No job below a task's cursor is claimable."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.store.driver.sql import load

SQL = load("work/claim_cursors")
STEP, STEP_PER_JOB = 256, 16
"""Jobs that a claim walks past before a task's floors rise, and so many more for each job that it asks for."""


def step(limit: int) -> int:
    return STEP + STEP_PER_JOB * limit


def advance(conn: psycopg.Connection, task: int, limit: int) -> None:
    """Let claims of `limit` jobs begin where there are jobs to claim, unless somebody else sees to it right now.

    In a transaction of its own: it must not hold what others wait for.
    """
    conn.execute(SQL.advance, {"task": task, "step": step(limit)})


def reset(conn: psycopg.Connection, tasks: Sequence[int]) -> bool:
    """Let claims from these tasks look at every job again; True where one began further on."""
    params = {"tasks": sorted(tasks)}
    conn.execute(SQL.lock, params)
    return conn.execute(SQL.reset, params).rowcount > 0
