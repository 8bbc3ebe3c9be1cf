"""What waits for the pilots of a pool, and what its nodes are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg

from orchestra.domain.models.nodes import Node, Slots
from orchestra.domain.models.tasks import Resources
from orchestra.domain.node_timeline import seconds_at_most
from orchestra.domain.pools.ready import Ready, claimable
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.nodes.nodes import found_from_json
from orchestra.store.tasks.tasks import RESOURCE_COLUMNS

SQL = load("pools/demand")


@dataclass(frozen=True, slots=True)
class ReadyRow:
    """A task with jobs that may be claimed; `placement` is the id of its placement. Its owner may have limits."""

    task: Ready
    placement: int | None
    is_limited: bool


def ready(
    conn: psycopg.Connection, queue: Queue, claimed: Mapping[int, int], ages: Mapping[int, float]
) -> list[ReadyRow]:
    """Return the tasks of a queue with jobs that may start, in the order in which these start.

    Args:
        claimed: by task the jobs that a node has taken and not started.
        ages: by task the age in seconds of the oldest attempt that runs.
    """
    rows = fetch(conn, SQL.ready, {"queue": queue})
    found = (_ready(row, queue, claimed.get(row["id"], 0), ages.get(row["id"])) for row in rows)
    return [each for each in found if each.task.jobs]


def _ready(row: Mapping[str, Any], queue: Queue, claimed: int, age: float | None) -> ReadyRow:
    task = Ready(
        row["id"],
        row["owner_id"],
        row["account"],
        row["image"],
        _request(queue, *(row[name] for name in RESOURCE_COLUMNS)),
        claimable(
            row["assigned"], row["registered"], claimed, row["delayed"], all_come=row["all_come"]
        ),
        seconds_at_most(row["walltime"], row["timeout"], row["p95_seconds"], row["grace"]),
        age if row["typical_seconds"] is None else row["typical_seconds"],
        row["typical_seconds"] is not None,
    )
    return ReadyRow(task, row["placement_id"], row["is_limited"])


@lru_cache
def _request(queue: Queue, *columns: Any) -> Request:
    """Return what a job takes, by the columns of its resources. Many tasks need the same."""
    return Request.of(queue, Resources(**dict(zip(RESOURCE_COLUMNS, columns, strict=True))))


def latest_node(conn: psycopg.Connection, pool: int) -> tuple[Node, tuple[str, ...]] | None:
    """Return the latest node of a pool, and its container runtimes; None if it never had one."""
    rows = fetch(conn, SQL.latest_node, {"pool": pool})
    if not rows:
        return None
    row = rows[0]
    node = Node(
        row["id"],
        row["name"],
        Slots(row["cpu_enabled"], row["cpu_max"]),
        Slots(row["gpu_enabled"], row["gpu_max"]),
        row["created_at"],
        memory_bytes=row["memory_bytes"],
        labels=row["labels"],
        found=found_from_json(row["found"]),
    )
    return node, tuple(row["runtimes"] or ())
