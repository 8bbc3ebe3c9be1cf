"""The waiting and running jobs of a queue, and what nodes offer to it."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf
from typing import Any

import psycopg

from orchestra.domain.labels import labels_of
from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.nodes import Node, Slots
from orchestra.domain.models.queues import QueuedJob
from orchestra.domain.node_room import capacity
from orchestra.domain.opening_hours import longest_window
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.nodes.nodes import found_from_json
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
            **_found(row) | with_troubles(row) | {"runtimes": tuple(row["runtimes"])},
            in_use=(in_use or {}).get(row["node"], 0),
        )
        for row in fetch(conn, SQL.offers, {"queue": queue})
    ]


def _found(row: dict[str, Any]) -> dict[str, Any]:
    """Take what a node has out of its row; return its room, its labels and its hours."""
    hours = row.pop("open_hours")
    node = Node(
        row.pop("id"),
        row["node"],
        Slots(cpus := row.pop("cpu_enabled"), cpus),
        Slots(gpus := row.pop("gpu_enabled"), gpus),
        row.pop("created_at"),
        memory_bytes=row.pop("memory_bytes"),
        labels=row.pop("labels"),
        found=found_from_json(row.pop("found")),
        pool=row.pop("pool"),
    )
    # How much time is left is a column of its own: answers are JSON, which has no infinity.
    longest = longest_window(hours)
    return {
        "room": capacity(node, seconds_left=0.0),
        "labels": labels_of(node),
        "open_for": None if isinf(longest) else longest,
    }
