"""Where the files come from that the jobs of a task read."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.sources import Source
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/tasks")


def inputs(conn: psycopg.Connection, task: int) -> list[Source]:
    """Give what stands for each tag of a task but %IN and %OUT."""
    return [Source(**row) for row in fetch(conn, SQL.inputs, {"task": task})]


def config(conn: psycopg.Connection, task: int) -> Source:
    """Give where a task's configs come from."""
    return Source(**fetch(conn, SQL.config, {"task": task})[0])
