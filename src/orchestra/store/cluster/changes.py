"""Which tasks have changed since a cursor, according to the events that every change writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("cluster/events")


@dataclass(frozen=True, slots=True)
class Seen:
    """A new cursor, and the tasks changed since the previous one. With `unknown_cursor`, any task may have changed."""

    cursor: str
    unknown_cursor: bool
    tasks: list[int]


def since(conn: psycopg.Connection, cursor: str | None, tasks: Sequence[int]) -> Seen:
    """Return those of the tasks that have changed since the cursor.

    Raises:
        psycopg.DataError: the cursor is invalid.
    """
    if cursor is None:
        return Seen(**fetch(conn, SQL.now)[0])
    params = {"cursor": cursor, "tasks": list(tasks)}
    return Seen(**fetch(conn, SQL.changed_since, params)[0])
