"""What waits and runs on a queue, and what the nodes could do for it."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.models.queues import QueuedJob
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.store.database import fetch
from orchestra.store.sql import load
from orchestra.store.told import with_troubles

SQL = load("tasks")


@dataclass(frozen=True, slots=True)
class Supply:
    """What one node could do for a job."""

    name: str
    cpu_enabled: int
    gpu_enabled: int
    drained: bool
    online: bool
    account: str | None = None
    is_root: bool = False
    serve_all: bool = False
    runtimes: tuple[str, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def supply(conn: psycopg.Connection) -> list[Supply]:
    """Give what each node could do for a job."""
    return [
        Supply(
            **{
                **with_troubles(row),
                "is_root": bool(row["is_root"]),
                "serve_all": bool(row["serve_all"]),
                "runtimes": tuple(row["runtimes"]),
            }
        )
        for row in fetch(conn, SQL.supply)
    ]


def conductor_alive(conn: psycopg.Connection) -> bool:
    """Whether somebody carries out the conductor's duties now."""
    return any(row["alive"] for row in fetch(conn, SQL.conductor))


def running_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int = 1000) -> list[QueuedJob]:
    """Give the jobs of a queue that nodes hold, longest running first."""
    rows = fetch(conn, SQL.running_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]


def waiting_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int) -> list[QueuedJob]:
    """Give the next jobs of a queue in the order in which pilots take them."""
    rows = fetch(conn, SQL.waiting_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]
