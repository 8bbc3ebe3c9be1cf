"""The waiting and running jobs of a queue, and what nodes offer to it."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.queues import QueuedJob
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.work.pilot_troubles import with_troubles

SQL = load("tasks/tasks")


def conductor_alive(conn: psycopg.Connection) -> bool:
    """Whether a conductor is active."""
    return any(row["alive"] for row in fetch(conn, SQL.conductor))


def running_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int = 1000) -> list[QueuedJob]:
    """Return the jobs of a queue that nodes hold, longest running first."""
    rows = fetch(conn, SQL.running_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]


def waiting_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int) -> list[QueuedJob]:
    """Return the next jobs of a queue in the order of claims."""
    rows = fetch(conn, SQL.waiting_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]


def offers(
    conn: psycopg.Connection, queue: Queue, in_use: Mapping[str, int] | None = None
) -> list[NodeOffer]:
    """Return what each node offers to a queue; `in_use` is the number of used slots by node, if needed."""
    return [
        NodeOffer(
            **with_troubles(row) | {"runtimes": tuple(row["runtimes"])},
            in_use=(in_use or {}).get(row["node"], 0),
        )
        for row in fetch(conn, SQL.offers, {"queue": queue})
    ]
