"""The data sets that the jobs of a task read."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.sources import Source
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/tasks")


def inputs(conn: psycopg.Connection, task: int) -> list[Source]:
    """Return what each tag of a task stands for, except %IN and %OUT."""
    return [Source(**row) for row in fetch(conn, SQL.inputs, {"task": task})]


def config(conn: psycopg.Connection, task: int) -> Source:
    """Return the source of a task's configs."""
    return Source(**fetch(conn, SQL.config, {"task": task})[0])


def former_roots(conn: psycopg.Connection, task: int) -> dict[int, tuple[str, bool]]:
    """Return the roots of a task's configs in its earlier revisions, and whether they are folders."""
    rows = fetch(conn, SQL.former_configs, {"task": task})
    return {row["number"]: (row["root"], row["is_folder"]) for row in rows}
