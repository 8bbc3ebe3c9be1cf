"""The nodes of pilots in allocations. Every function runs inside its caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.models.pools import AllocationHello, AllocationState
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("pools/lent_nodes")


@dataclass(frozen=True, slots=True)
class LockedAllocation:
    """An allocation that only this transaction can change, and what its pool says. `gpus` are those asked for."""

    id: UUID
    state: AllocationState
    pool_id: int
    pool: str
    owner_id: int | None
    idle: float
    queue: Queue
    gpus: int


@dataclass(frozen=True, slots=True)
class LentNode:
    """What a node has to do with allocations. `pool` is None, too, after the pool was deleted."""

    allocation_id: UUID | None
    is_gone: bool
    pool: str | None


@dataclass(frozen=True, slots=True)
class LockedPool:
    """The pool of a node, and its allocation there; only this transaction can change them."""

    id: int
    name: str
    min_pilots: int
    is_deleted: bool
    allocation: UUID
    state: AllocationState


def lock_allocation(conn: psycopg.Connection, allocation: UUID) -> LockedAllocation | None:
    rows = fetch(conn, SQL.lock_allocation, {"allocation": allocation})
    if not rows:
        return None
    row = rows[0]
    queue, state = Queue(row["queue"] or Queue.CPU), AllocationState(row["state"])
    return LockedAllocation(**row | {"queue": queue, "state": state})


def serve(conn: psycopg.Connection, hello: AllocationHello) -> None:
    """Note that a pilot is there, and what it says of its allocation."""
    params = {"allocation": hello.id, "engine_id": hello.engine_id, "ends_at": hello.ends_at}
    conn.execute(SQL.serve, params)


def insert_node(
    conn: psycopg.Connection,
    name: str,
    allocation: LockedAllocation,
    ends_at: datetime | None,
    slots: dict[Queue, int],
) -> None:
    params = {
        "name": name,
        "owner": allocation.owner_id,
        "pool": allocation.pool_id,
        "allocation": allocation.id,
        "ends_at": ends_at,
        "cpus": slots[Queue.CPU],
        "gpus": slots[Queue.GPU],
    }
    conn.execute(SQL.insert_node, params)


def of_node(conn: psycopg.Connection, node: int) -> LentNode:
    return LentNode(**fetch(conn, SQL.of_node, {"node": node})[0])


def note_end(conn: psycopg.Connection, node: int, ends_at: datetime) -> None:
    """Note when the engine takes a node back, with its whole allocation."""
    conn.execute(SQL.note_end, {"node": node, "ends_at": ends_at})


def note_first_job(conn: psycopg.Connection, node: int) -> None:
    """Note that an attempt has begun in a node's allocation."""
    conn.execute(SQL.note_first_job, {"node": node})


def fit_slots(conn: psycopg.Connection, node: int, slots: dict[Queue, int]) -> None:
    """Give a node as many slots as its pilot finds."""
    params = {"node": node, "cpus": slots[Queue.CPU], "gpus": slots[Queue.GPU]}
    conn.execute(SQL.fit_slots, params)


def leave(conn: psycopg.Connection, node: int, agent: UUID) -> None:
    """Note that a node of a locked allocation is gone with its pilot; end the allocation with its last one.

    Not if another agent decides for it, or if it still holds attempts.
    """
    for row in fetch(conn, SQL.leave, {"node": node, "agent": agent}):
        conn.execute(SQL.end_when_left, {"allocation": row["allocation_id"]})


def lock_pool_of(conn: psycopg.Connection, node: int) -> LockedPool | None:
    """Lock the pool of a node, and then its allocation there; None if there is none."""
    rows = fetch(conn, SQL.lock_pool_of, {"node": node})
    if not rows:
        return None
    return LockedPool(**rows[0] | {"state": AllocationState(rows[0]["state"])})


def is_busy(conn: psycopg.Connection, allocation: UUID) -> bool:
    """Return whether a node of an allocation holds attempts."""
    return bool(fetch(conn, SQL.is_busy, {"allocation": allocation})[0]["is_busy"])


def others(conn: psycopg.Connection, pool: LockedPool) -> int:
    """Return how many pilots of a pool stay without those of the allocation."""
    params = {"pool": pool.id, "allocation": pool.allocation}
    return int(fetch(conn, SQL.others, params)[0]["pilots"])


def let_leave(conn: psycopg.Connection, allocation: UUID) -> None:
    """Let the pilots of an allocation leave: they take no more jobs."""
    conn.execute(SQL.let_leave, {"allocation": allocation})


def nodes_of(conn: psycopg.Connection, allocation: UUID) -> list[int]:
    """Return the nodes of an allocation that are there."""
    return [row["id"] for row in fetch(conn, SQL.nodes_of, {"allocation": allocation})]
