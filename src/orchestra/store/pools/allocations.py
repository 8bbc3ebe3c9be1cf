"""Allocations, as their pool's process keeps them. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict
from statistics import median
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.models.pools import Allocation, AllocationState, BackOff, Decision
from orchestra.domain.pools.life import NEVER_ACCEPTED, Leftover, Pilots
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.pools.pools import decision_to_json

SQL = load("pools/allocations")


def insert(conn: psycopg.Connection, pool: int, allocation: UUID, nodes: int) -> None:
    """Record that an allocation is about to be submitted."""
    conn.execute(SQL.insert, {"id": allocation, "pool": pool, "nodes": nodes})


def accept(conn: psycopg.Connection, allocation: UUID, engine_id: str) -> bool:
    """Record the engine's id of a submission; False if it has ended meanwhile."""
    params = {"id": allocation, "engine_id": engine_id}
    return conn.execute(SQL.accept, params).fetchone() is not None


def keep(conn: psycopg.Connection, new: Allocation, was: AllocationState) -> None:
    """Record what has become of an allocation, unless its state is another one by now."""
    params = {
        "id": new.id,
        "was": was,
        "engine_id": new.engine_id,
        "state": new.state,
        "word": new.word,
        "reason": new.reason,
        "ends_at": new.ends_at,
        "started_at": new.started_at,
        "seen_at": new.seen_at,
        "cancelled_at": new.cancelled_at,
    }
    conn.execute(SQL.keep, params)


def end(conn: psycopg.Connection, allocation: UUID, was: AllocationState, why: str) -> bool:
    """Record that an allocation has ended; False if its state is another one by now."""
    params = {"id": allocation, "was": was, "why": why}
    return conn.execute(SQL.end, params).fetchone() is not None


def cancel(conn: psycopg.Connection, ids: Collection[UUID], *, running: bool = False) -> int:
    """Record that the engine is to be asked to end allocations that wait, or all; return how many are new to that."""
    return conn.execute(SQL.cancel, {"ids": list(ids), "running": running}).rowcount


def pilots(conn: psycopg.Connection, ids: Collection[UUID]) -> dict[UUID, Pilots]:
    """Return the pilots of those allocations that ever had one."""
    rows = fetch(conn, SQL.pilots, {"ids": list(ids)})
    return {row.pop("id"): Pilots(**row) for row in rows}


def lock_pilots(conn: psycopg.Connection, allocation: UUID) -> Pilots:
    """Let the heartbeats of an allocation's pilots wait until this transaction ends; return the pilots."""
    conn.execute(SQL.lock_pilots, {"id": allocation})
    return pilots(conn, [allocation]).get(allocation, Pilots())


def keepers(conn: psycopg.Connection, allocation: UUID) -> list[UUID]:
    """Return the keepers of an allocation's pilots that have neither ended nor been fenced."""
    return [row["id"] for row in fetch(conn, SQL.keepers, {"id": allocation})]


def close_nodes(conn: psycopg.Connection, allocation: UUID) -> None:
    """Record that the nodes of an allocation are gone."""
    conn.execute(SQL.close_nodes, {"id": allocation})


def leftovers(conn: psycopg.Connection, pool: int) -> list[Leftover]:
    """Return the allocations that ended in the last minutes."""
    params = {"pool": pool, "never_accepted": NEVER_ACCEPTED}
    return [Leftover(**row) for row in fetch(conn, SQL.leftovers, params)]


def usual_wait(conn: psycopg.Connection, pool: int) -> float | None:
    """Return the median of the seconds that the last ten allocations waited; None if none has started lately."""
    waits = [row["seconds"] for row in fetch(conn, SQL.waits, {"pool": pool})]
    return max(0.0, median(waits)) if waits else None


def set_back_off(conn: psycopg.Connection, pool: int, back_off: BackOff) -> None:
    """Set for how long nothing is submitted, and why."""
    conn.execute(SQL.set_back_off, {"pool": pool, **asdict(back_off)})


def last_ran_a_job(conn: psycopg.Connection, pool: int) -> bool:
    """Whether the latest allocation that had a job, or has ended without one, had a job."""
    rows = fetch(conn, SQL.ran_first_job, {"pool": pool})
    return bool(rows and rows[0]["ran"])


def had_no_job(conn: psycopg.Connection, ids: Collection[UUID]) -> bool:
    """Whether one of these allocations has ended by itself without ever having had a job."""
    return bool(fetch(conn, SQL.had_no_job, {"ids": list(ids)}))


def set_decision(conn: psycopg.Connection, pool: int, decision: Decision) -> None:
    """Record what was decided."""
    conn.execute(SQL.set_decision, {"pool": pool, "decision": Jsonb(decision_to_json(decision))})


def set_account(conn: psycopg.Connection, pool: int, account: str, *, serves_all: bool) -> None:
    """Record whose pilots a pool has, and whether they run the jobs of all accounts."""
    params = {"pool": pool, "account": account, "serves_all": serves_all}
    conn.execute(SQL.set_account, params)


def lock_pool(conn: psycopg.Connection, pool: int) -> bool:
    """Lock a pool; False if it is gone."""
    return conn.execute(SQL.lock_pool, {"pool": pool}).fetchone() is not None
