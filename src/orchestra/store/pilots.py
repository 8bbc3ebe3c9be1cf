"""Agents and keepers. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from orchestra.domain.models import KeeperHello, PilotHello
from orchestra.domain.states import Queue
from orchestra.store.sql import load

SQL = load("pilots")


@dataclass(frozen=True, slots=True)
class LockedNode:
    id: int
    enabled: dict[Queue, int]


@dataclass(frozen=True, slots=True)
class ServingPilot:
    agent: UUID
    machine_id: str
    host: str
    alive: bool


@dataclass(frozen=True, slots=True)
class Wishes:
    """What users want of a node's pilot."""

    enabled: dict[Queue, int]
    leave: bool
    leave_now: bool


def _row(conn: psycopg.Connection, statement: str, params: dict[str, Any]) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchone()


def _enabled(row: dict[str, Any]) -> dict[Queue, int]:
    if row["drained"]:
        return {Queue.CPU: 0, Queue.GPU: 0}
    return {Queue.CPU: row["cpu_enabled"], Queue.GPU: row["gpu_enabled"]}


def lock_node(conn: psycopg.Connection, name: str) -> LockedNode | None:
    row = _row(conn, SQL.lock_node, {"node": name})
    return LockedNode(row["id"], _enabled(row)) if row else None


def protocols(conn: psycopg.Connection) -> tuple[int, int]:
    """Give the database's protocol and the oldest one that it still speaks."""
    row = _row(conn, SQL.protocols, {})
    if row is None:
        raise LookupError("the cluster's row is missing")
    return row["protocol"], row["oldest_protocol"]


def serving_pilot(conn: psycopg.Connection, node: int) -> ServingPilot | None:
    row = _row(conn, SQL.serving_pilot, {"node": node})
    return ServingPilot(**row) if row else None


def attach(conn: psycopg.Connection, node: int, hello: PilotHello) -> None:
    params = {
        "node": node,
        "agent": hello.agent,
        "machine": hello.machine_id,
        "boot": hello.boot_id,
        "host": hello.host,
        "pid": hello.pid,
        "account": hello.account,
        "is_root": hello.is_root,
        "serve_all": hello.serve_all,
        "may_conduct": hello.may_conduct,
        "version": hello.version,
        "protocol": hello.protocol,
        "runtimes": list(hello.runtimes),
    }
    conn.execute(SQL.attach, params)


def renew_pilot(
    conn: psycopg.Connection, node: int, agent: UUID, message: str | None
) -> Wishes | None:
    """Say that an agent is alive; None when another one decides for the node."""
    row = _row(conn, SQL.renew_pilot, {"node": node, "agent": agent, "message": message})
    return Wishes(_enabled(row), row["leave"], row["leave_now"]) if row else None


def renew_keepers(
    conn: psycopg.Connection, node: int, keepers: Sequence[UUID], lease: float
) -> None:
    conn.execute(SQL.renew_keepers, {"node": node, "keepers": list(keepers), "lease": lease})


def register_keeper(conn: psycopg.Connection, node: int, keeper: KeeperHello, lease: float) -> bool:
    """Make a keeper known; False when it has been fenced."""
    params = {
        "keeper": keeper.id,
        "node": node,
        "machine": keeper.machine_id,
        "boot": keeper.boot_id,
        "pid": keeper.pid,
        "version": keeper.version,
        "protocol": keeper.protocol,
        "lease": lease,
    }
    return conn.execute(SQL.register_keeper, params).rowcount == 1


def detach(conn: psycopg.Connection, node: int, agent: UUID, keepers: Sequence[UUID]) -> None:
    conn.execute(SQL.detach, {"node": node, "agent": agent})
    conn.execute(SQL.forget_keepers, {"node": node, "keepers": list(keepers)})
