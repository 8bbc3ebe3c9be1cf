"""What has changed since the previous look, for readers that show the present."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("cluster/watching")
NAMED_AT_MOST = 20_000
"""With so many events at once, everything is taken to have changed."""


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new cursor, and what the events since the previous one are about.

    Args:
        everything: anything may have changed.
        tasks, jobs: the tasks that have changed, and those whose jobs have.
        nodes: whether a node, or its jobs, have changed.
    """

    cursor: str
    everything: bool
    tasks: list[int]
    jobs: list[int]
    nodes: bool


def begin(conn: psycopg.Connection) -> str:
    """Return a cursor of now."""
    return str(fetch(conn, SQL.begin)[0]["cursor"])


def fresh(conn: psycopg.Connection, cursor: str) -> Fresh:
    """Return what has become visible since the call that returned the cursor."""
    return Fresh(**fetch(conn, SQL.fresh, {"cursor": cursor, "limit": NAMED_AT_MOST})[0])


def counts(conn: psycopg.Connection, tasks: Collection[int] | None) -> dict[int, tuple[int, ...]]:
    """Return the counts of jobs of those of the tasks that live; of all living tasks without any."""
    params = {"all": tasks is None, "tasks": list(tasks or ())}
    return {row[0]: row[1:] for row in conn.execute(SQL.counts, params)}


def nodes(conn: psycopg.Connection) -> dict[int, int]:
    """Return a mark for each node, which changes with what is shown of it."""
    return {row[0]: row[1] for row in conn.execute(SQL.nodes)}
