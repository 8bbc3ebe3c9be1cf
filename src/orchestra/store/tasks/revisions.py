"""Revisions of tasks: what their jobs are started with, now and before each change."""

from __future__ import annotations

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/revisions")


def supersede(conn: psycopg.Connection, task: int, *, by: str, why: str) -> int:
    """Keep what a locked task's jobs are started with before the caller changes it; return the next revision.

    Attempts that were claimed with the present revision keep it. The columns of `task` and the rows of `task_input` are
    the next one from now on, so change them in the same transaction.
    """
    params = {"task": task, "by": by, "why": why}
    return int(fetch(conn, SQL.supersede, params)[0]["revision"])
