"""Nodes and their slots. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.models.nodes import (
    NOTHING_FOUND,
    Device,
    FoundResources,
    Keeper,
    Node,
    NodeSettings,
    Pilot,
    Slots,
)
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.work.pilot_troubles import with_troubles

SQL = load("nodes/nodes")


@dataclass(frozen=True, slots=True)
class LockedNode:
    """A node that only this transaction can change."""

    id: int
    cpu: Slots
    gpu: Slots
    drained: bool
    owner: str | None
    started_by: str | None
    labels: Mapping[str, str]
    memory_bytes: int | None
    open_hours: str | None
    drain_in: float | None
    nice: int
    utc_offset: int | None
    version: str | None
    ignores_hours: bool
    gone_at: datetime | None

    @property
    def enabled(self) -> dict[Queue, int]:
        """The enabled slots by queue."""
        if self.drained:
            return dict.fromkeys(Queue, 0)
        return {Queue.CPU: self.cpu.enabled, Queue.GPU: self.gpu.enabled}


def _slots(row: dict[str, Any]) -> dict[str, Slots]:
    return {
        kind: Slots(row.pop(f"{kind}_enabled"), row.pop(f"{kind}_max")) for kind in ("cpu", "gpu")
    }


def _node(row: dict[str, Any]) -> Node:
    slots = _slots(row)
    return Node(
        cpu=slots["cpu"],
        gpu=slots["gpu"],
        **with_troubles(row)
        | {
            "runtimes": tuple(row["runtimes"]),
            "found": found_from_json(row["found"]),
            "labels": dict(sorted(row["labels"].items())),  # jsonb has an order of its own
        },
    )


def found_from_json(found: dict[str, Any] | None) -> FoundResources:
    """Read the column pilot.found, leaving out what a later version may have added."""
    if not found:
        return NOTHING_FOUND
    known = {each.name: found[each.name] for each in fields(FoundResources) if each.name in found}
    if known.get("devices") is not None:
        known["devices"] = tuple(_device(device) for device in known["devices"])
    return FoundResources(**known)


def _device(given: dict[str, Any]) -> Device:
    return Device(**{each.name: given[each.name] for each in fields(Device) if each.name in given})


def by_name(conn: psycopg.Connection, name: str) -> Node | None:
    """The node of that name, or None."""
    rows = fetch(conn, SQL.select_nodes + "\n" + SQL.named, {"name": name})
    return _node(rows[0]) if rows else None


def everything(conn: psycopg.Connection) -> list[Node]:
    """Return all nodes by name."""
    return [_node(row) for row in fetch(conn, SQL.select_nodes + "\n" + SQL.in_order)]


def pilots(conn: psycopg.Connection) -> list[Pilot]:
    """Return the last pilot of each node that has had one."""
    keepers: dict[str, list[Keeper]] = {}
    for row in fetch(conn, SQL.select_keepers):
        keepers.setdefault(row.pop("node"), []).append(Keeper(**row))
    return [
        Pilot(
            **with_troubles(row) | {"silent": tuple(row["silent"])},
            keepers=tuple(keepers.get(row["node"], ())),
        )
        for row in fetch(conn, SQL.select_pilots)
    ]


def _slot_params(cpu: Slots, gpu: Slots) -> dict[str, int]:
    return {
        "cpu_enabled": cpu.enabled,
        "cpu_max": cpu.maximum,
        "gpu_enabled": gpu.enabled,
        "gpu_max": gpu.maximum,
    }


def insert(conn: psycopg.Connection, name: str, owner: int, cpu: Slots, gpu: Slots) -> int | None:
    """Create a node and return its id; None if the name is taken."""
    params = {"name": name, "owner": owner, **_slot_params(cpu, gpu)}
    rows = fetch(conn, SQL.insert, params)
    return int(rows[0]["id"]) if rows else None


def lock(conn: psycopg.Connection, name: str) -> LockedNode | None:
    """Lock the node of that name; None if there is none."""
    rows = fetch(conn, SQL.lock, {"name": name})
    if not rows:
        return None
    slots = _slots(rows[0])
    return LockedNode(cpu=slots["cpu"], gpu=slots["gpu"], **rows[0])


def set_slots(conn: psycopg.Connection, node: int, cpu: Slots, gpu: Slots) -> None:
    """Set a node's slots."""
    conn.execute(SQL.set_slots, {"node": node, **_slot_params(cpu, gpu)})


def set_labels(conn: psycopg.Connection, node: int, labels: Mapping[str, str]) -> None:
    """Set all labels of a node."""
    conn.execute(SQL.set_labels, {"node": node, "labels": Jsonb(dict(labels))})


def set_settings(conn: psycopg.Connection, node: int, settings: NodeSettings) -> None:
    """Set what is given besides labels; it was checked."""
    names = ("memory_bytes", "open_hours", "nice")
    given = {name: getattr(settings, name) for name in names}
    conn.execute(SQL.set_settings, {"node": node, **given})


def set_owner(conn: psycopg.Connection, node: int, owner: int) -> None:
    """Set a node's owner."""
    conn.execute(SQL.set_owner, {"node": node, "owner": owner})


def drain(conn: psycopg.Connection, node: int, by: str, reason: str | None) -> None:
    """Stop new jobs from starting on a node."""
    conn.execute(SQL.drain, {"node": node, "by": by, "reason": reason})
    _event(conn, node, "OPEN", "DRAINED", by, reason)


def plan_drain(
    conn: psycopg.Connection, node: int, by: str, reason: str | None, at: datetime
) -> bool:
    """Drain a node at a moment; False if that has passed."""
    params = {"node": node, "by": by, "reason": reason, "at": at}
    if not conn.execute(SQL.plan_drain, params).rowcount:
        return False
    _event(
        conn,
        node,
        "OPEN",
        "DRAINS",
        by,
        f"{at:%Y-%m-%d %H:%M:%S%z}" + (f": {reason}" if reason else ""),
    )
    return True


def drain_due(conn: psycopg.Connection) -> list[int]:
    """Drain the nodes for which the moment has come, and return them."""
    drained = fetch(conn, SQL.drain_due)
    for row in drained:
        _event(conn, row["id"], "DRAINS", "DRAINED", row["drained_by"], row["drain_reason"])
    return [row["id"] for row in drained]


def resume(conn: psycopg.Connection, node: LockedNode, by: str) -> None:
    """Allow jobs to start on a node again, and for good."""
    conn.execute(SQL.resume, {"node": node.id})
    _event(conn, node.id, "DRAINED" if node.drained else "DRAINS", "OPEN", by, None)


def running(conn: psycopg.Connection, node: int) -> int:
    """Return how many attempts have a process on a node."""
    return int(fetch(conn, SQL.running, {"node": node})[0]["count"])


def mark_lost(conn: psycopg.Connection, node: int, by: str, why: str | None) -> None:
    """Mark a node as lost until a pilot serves it again."""
    conn.execute(SQL.mark_lost, {"node": node})
    _event(conn, node, "OPEN", "LOST", by, why)


def ask_to_leave(conn: psycopg.Connection, node: int, *, now: bool) -> bool:
    """Ask a node's pilot to stop when its jobs have ended, or to end them now; False if none is online."""
    return conn.execute(SQL.ask_to_leave, {"node": node, "now": now}).rowcount == 1


def busy(conn: psycopg.Connection, node: int) -> tuple[int, bool]:
    """Return how many attempts a node holds, and whether its pilot is online."""
    row = fetch(conn, SQL.busy, {"node": node})[0]
    return row["jobs"], row["online"]


def delete(conn: psycopg.Connection, node: int) -> None:
    """Delete a node, its pilot and its keepers."""
    conn.execute(SQL.delete, {"node": node})


def _event(
    conn: psycopg.Connection, node: int, was: str, becomes: str, who: str, why: str | None
) -> None:
    params = {"node": node, "from": was, "to": becomes, "who": who, "why": why}
    conn.execute(SQL.add_event, params)
