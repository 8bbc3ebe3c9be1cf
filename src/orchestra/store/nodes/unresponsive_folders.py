"""Unresponsive folders, as reported by pilots. Not in `explain.py`, whose imports would slow down every command."""

from __future__ import annotations

import psycopg

from orchestra.domain.file_waits import FileWait
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.work.pilot_troubles import with_troubles

SQL = load("jobs/explain")


def file_wait(conn: psycopg.Connection, task: int, index: int) -> FileWait | None:
    """What the pilot of a job reports about files, and the folders that the job needs; None if no pilot holds it."""
    rows = fetch(conn, SQL.file_wait, {"task": task, "index": index})
    return FileWait(task, **with_troubles(rows[0])) if rows else None


def by_node(conn: psycopg.Connection) -> list[tuple[str, list[str]]]:
    """Return the nodes with unresponsive folders, each with these folders."""
    return [(row["node"], row["silent"]) for row in fetch(conn, SQL.unresponsive_folders)]
