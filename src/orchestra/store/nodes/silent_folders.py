"""The folders that do not answer, as pilots say. Apart from `explain.py`, whose imports every look would pay for."""

from __future__ import annotations

import psycopg

from orchestra.domain.file_waits import FileWait
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.work.told import with_troubles

SQL = load("jobs/explain")


def held_up(conn: psycopg.Connection, task: int, index: int) -> FileWait | None:
    """Give what the pilot that has a job says of files, and which files the job needs; None where no pilot has it."""
    rows = fetch(conn, SQL.held_up, {"task": task, "index": index})
    return FileWait(task, **with_troubles(rows[0])) if rows else None


def silent_nodes(conn: psycopg.Connection) -> list[tuple[str, list[str]]]:
    """Give the nodes on which folders do not answer, each with these folders."""
    return [(row["node"], row["silent"]) for row in fetch(conn, SQL.silent_nodes)]
