"""Agents and keepers. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from orchestra.domain import troubles
from orchestra.domain.leases import KeeperSilence
from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pilots import KeeperHello, PilotHello, Window
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Trouble
from orchestra.store.driver.sql import load

SQL = load("work/pilots")


@dataclass(frozen=True, slots=True)
class ServingPilot:
    """The last agent of a node. `silent_for` is in seconds."""

    agent: UUID
    account: str
    machine_id: str
    boot_id: str
    host: str
    alive: bool
    silent_for: float

    def is_on_machine_of(self, hello: PilotHello) -> bool:
        """Whether a new agent is on the same machine.

        Machines cloned from one image may share an id; their boots and names differ.
        """
        same = self.boot_id == hello.boot_id or self.host == hello.host
        return self.machine_id == hello.machine_id and same


@dataclass(frozen=True, slots=True)
class SilentKeeper:
    """A keeper whose lease is over and that holds attempts."""

    id: UUID
    node: str
    renewed_at: datetime
    silence: KeeperSilence


@dataclass(frozen=True, slots=True)
class NodeRequests:
    """What users request of a node's pilot. `generation` counts the renewals of the conductor's terms.

    `memory_bytes` is what the operator has enabled, None for all that the pilot finds. `idle` as in `HeartbeatReply`.
    """

    enabled: dict[Queue, int]
    leave: bool
    leave_now: bool
    generation: int
    memory_bytes: int | None
    open_hours: str | None
    drain_in: float | None
    nice: int
    idle: float | None


def _row(conn: psycopg.Connection, statement: str, params: dict[str, Any]) -> dict[str, Any] | None:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchone()


def _ids(conn: psycopg.Connection, statement: str, params: dict[str, Any]) -> list[UUID]:
    return [row[0] for row in conn.execute(statement, params)]


def _enabled(row: dict[str, Any]) -> dict[Queue, int]:
    if row["drained"]:
        return {Queue.CPU: 0, Queue.GPU: 0}
    return {Queue.CPU: row["cpu_enabled"], Queue.GPU: row["gpu_enabled"]}


def protocols(conn: psycopg.Connection) -> tuple[int, int]:
    """Return the database's protocol version and the oldest supported one."""
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
        "successor": hello.successor,
        "user": hello.user,
        "found": _found(hello.found),
    }
    conn.execute(SQL.attach, params)
    conn.execute(SQL.clear_lost, {"node": node})


def _found(found: FoundResources | None) -> Jsonb | None:
    return None if found is None else Jsonb(asdict(found))


def jobs_elsewhere(conn: psycopg.Connection, node: int, hello: PilotHello) -> int:
    """Count the open attempts on a node that belong to keepers of another machine."""
    row = _row(conn, SQL.jobs_elsewhere, _machine(node, hello))
    return int(row["count"]) if row else 0


def fence_older_boots(
    conn: psycopg.Connection, node: int, hello: PilotHello, reason: str
) -> list[UUID]:
    """Fence the keepers that ran on this machine before its last boot, and return them."""
    return _ids(conn, SQL.fence_older_boots, {**_machine(node, hello), "reason": reason})


def _machine(node: int, hello: PilotHello) -> dict[str, Any]:
    return {
        "node": node,
        "machine": hello.machine_id,
        "boot": hello.boot_id,
        "host": hello.host,
    }


def fence(
    conn: psycopg.Connection, keeper: UUID, reason: str, renewed_at: datetime | None = None
) -> bool:
    """Fence a keeper; False if it is fenced already, or was renewed after `renewed_at`."""
    params = {"keeper": keeper, "reason": reason, "renewed_at": renewed_at}
    return conn.execute(SQL.fence, params).rowcount == 1


def fence_node(conn: psycopg.Connection, node: int, reason: str) -> list[UUID]:
    """Fence every keeper of a node, and return them."""
    return _ids(conn, SQL.fence_node, {"node": node, "reason": reason})


def add_fence_event(conn: psycopg.Connection, keeper: UUID, *, who: str, why: str) -> None:
    conn.execute(SQL.add_fence_event, {"keeper": keeper, "who": who, "why": why})


def mark_gone(conn: psycopg.Connection, keeper: UUID) -> None:
    conn.execute(SQL.mark_keeper_gone, {"keeper": keeper})


def silent_keepers(conn: psycopg.Connection) -> list[SilentKeeper]:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(SQL.silent_keepers).fetchall()
    return [_silent(row) for row in rows]


def _silent(row: dict[str, Any]) -> SilentKeeper:
    names = ("lease", "grace", "silent_for", "held_for")
    silence = KeeperSilence(**{name: row[name] for name in names})
    return SilentKeeper(row["id"], row["node"], row["renewed_at"], silence)


def keepers_to_close_out(conn: psycopg.Connection, after: float) -> list[UUID]:
    """Return the keepers that were fenced more than `after` seconds ago and still hold attempts."""
    return _ids(conn, SQL.keepers_to_close_out, {"after": after})


def epoch(conn: psycopg.Connection) -> int:
    row = _row(conn, SQL.epoch, {})
    return int(row["epoch"]) if row else 0


def note_reconciled(conn: psycopg.Connection, keeper: UUID) -> bool:
    """Note that a keeper has reported what it runs, and return whether the database is recovering."""
    row = _row(conn, SQL.note_reconciled, {"keeper": keeper})
    return bool(row and row["is_recovering"])


def fenced_keepers(conn: psycopg.Connection, keepers: Sequence[UUID]) -> frozenset[UUID]:
    """Return those of the keepers that are fenced."""
    return frozenset(_ids(conn, SQL.fenced_keepers, {"keepers": list(keepers)}))


def renew_pilot(
    conn: psycopg.Connection,
    node: int,
    agent: UUID,
    said: Sequence[Trouble],
    silent: Sequence[str] = (),
    found: FoundResources | None = None,
    window: Window | None = None,
) -> NodeRequests | None:
    """Record that an agent is alive, and what it says; None if another agent decides for the node."""
    params = {
        "node": node,
        "agent": agent,
        "message": troubles.message(said),
        "troubles": Jsonb([troubles.to_record(trouble) for trouble in said]),
        "silent": list(silent),
        "found": _found(found),
        **asdict(window or Window()),
    }
    row = _row(conn, SQL.renew_pilot, params)
    if row is None:
        return None
    names = (
        "leave",
        "leave_now",
        "generation",
        "memory_bytes",
        "open_hours",
        "drain_in",
        "nice",
        "idle",
    )
    return NodeRequests(_enabled(row), **{name: row[name] for name in names})


def renew_keepers(
    conn: psycopg.Connection, node: int, keepers: Sequence[UUID], lease: float, *, expires: bool
) -> None:
    params = {"node": node, "keepers": list(keepers), "lease": lease, "expires": expires}
    conn.execute(SQL.renew_keepers, params)


def register_keeper(
    conn: psycopg.Connection, node: int, keeper: KeeperHello, lease: float, *, expires: bool
) -> bool:
    """Register a keeper; False if it has been fenced."""
    params = {
        "keeper": keeper.id,
        "node": node,
        "machine": keeper.machine_id,
        "boot": keeper.boot_id,
        "pid": keeper.pid,
        "version": keeper.version,
        "protocol": keeper.protocol,
        "lease": lease,
        "expires": expires,
    }
    return conn.execute(SQL.register_keeper, params).rowcount == 1


def detach(conn: psycopg.Connection, node: int, agent: UUID, keepers: Sequence[UUID]) -> None:
    conn.execute(SQL.detach, {"node": node, "agent": agent})
    conn.execute(SQL.mark_keepers_gone, {"node": node, "keepers": list(keepers)})
