"""What has changed since somebody looked, by the events that are written with every change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("cluster/events")


@dataclass(frozen=True, slots=True)
class Seen:
    """The cursor of a look, and the tasks that have changed since the one before; `strange`: perhaps all of them."""

    cursor: str
    strange: bool
    tasks: list[int]


def since(conn: psycopg.Connection, cursor: str | None, tasks: Sequence[int]) -> Seen:
    """Give which of some tasks have changed since the look that gave the cursor.

    Raises:
        psycopg.DataError: there was no such look.
    """
    if cursor is None:
        return Seen(**fetch(conn, SQL.now)[0])
    params = {"cursor": cursor, "tasks": list(tasks)}
    return Seen(**fetch(conn, SQL.changed_since, params)[0])
