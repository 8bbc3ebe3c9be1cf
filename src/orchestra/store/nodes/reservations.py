"""Nodes that wait for jobs which fit on none now. See `domain/reservation_plan.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isinf
from typing import Any

import psycopg

from orchestra.domain.allowance import Allowance
from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.nodes import Node, Slots
from orchestra.domain.models.queues import ReservedNode
from orchestra.domain.models.tasks import Resources
from orchestra.domain.node_room import offered
from orchestra.domain.node_timeline import Host, Running, Spare, seconds_left
from orchestra.domain.reservation_plan import Reservation
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.nodes.nodes import found_from_json
from orchestra.store.tasks.tasks import RESOURCE_COLUMNS

SQL = load("nodes/reservations")


@dataclass(frozen=True, slots=True)
class ServingNode:
    """A node that takes jobs: what runs on it (`host`), its name and labels (`node`), and whom it serves (`offer`)."""

    host: Host
    node: Node
    offer: NodeOffer


@dataclass(frozen=True, slots=True)
class ServingNodes:
    """The nodes on which jobs may start, and by task the jobs that nodes have claimed ahead.

    `oldest` is by task the age in seconds of the oldest attempt on any node.
    """

    nodes: Sequence[ServingNode]
    claimed: Mapping[int, int]
    oldest: Mapping[int, float]


def serving_nodes(conn: psycopg.Connection) -> ServingNodes:
    """Return the nodes on which jobs may start, with what runs there and when it is expected to end."""
    running: dict[int, list[tuple[float, Running]]] = {}
    claimed: dict[int, int] = {}
    oldest: dict[int, float] = {}
    for row in fetch(conn, SQL.at_work):
        running.setdefault(row["node_id"], []).extend(_jobs(row))
        claimed[row["task"]] = claimed.get(row["task"], 0) + row["unstarted"]
        oldest[row["task"]] = max(oldest.get(row["task"], 0.0), *row["ages"])
    nodes = [_serving(row, running.get(row["id"], ())) for row in fetch(conn, SQL.hosts)]
    return ServingNodes(nodes, claimed, oldest)


def _jobs(row: Mapping[str, Any]) -> list[tuple[float, Running]]:
    """Return jobs of one task on one node, each with its age."""
    resources = Resources(**{name: row[name] for name in RESOURCE_COLUMNS})
    request = Request.of(Queue(row["queue"]), resources)
    times = {
        "typical": row["typical_seconds"],
        "p95": row["p95_seconds"],
        "walltime": row["walltime"],
        "timeout": row["timeout"],
    }
    return [
        (
            age,
            Running(request, seconds_left(age, **times), seconds_left(age, unknown=age, **times)),
        )
        for age in row["ages"]
    ]


def _serving(row: Mapping[str, Any], running: Sequence[tuple[float, Running]]) -> ServingNode:
    cpu = Slots(row["cpu_enabled"], row["cpu_max"])
    gpu = Slots(row["gpu_enabled"], row["gpu_max"])
    node = Node(
        row["id"],
        row["name"],
        cpu,
        gpu,
        row["created_at"],
        memory_bytes=row["memory_bytes"],
        labels=row["labels"],
        found=found_from_json(row["found"]),
        pool=row["pool"],
    )
    offer = NodeOffer(
        row["name"],
        cpu.enabled,
        account=row["account"],
        serves_all=row["serves_all"],
        runtimes=tuple(row["runtimes"]),
        only=None if row["only"] is None else Queue(row["only"]),
    )
    oldest_first = sorted(running, key=lambda each: -each[0])
    seconds = row["seconds_left"]
    room = offered(node, inf if seconds is None else seconds)
    return ServingNode(Host(node.id, room, [job for _, job in oldest_first]), node, offer)


def held(conn: psycopg.Connection, *, lock: bool = False) -> list[Reservation]:
    """Return all reservations; with `lock`, claims that would change one wait until this transaction ends."""
    return [
        Reservation(
            row["host"],
            row["task"],
            inf if row["starts_in"] is None else row["starts_in"],
            Spare(
                row["spare_cpus"], row["spare_gpu_milli"], row["spare_memory"], row["spare_scratch"]
            ),
            row["moves"],
        )
        for row in fetch(conn, SQL.held + ("\n" + SQL.lock if lock else ""))
    ]


def shown(conn: psycopg.Connection) -> list[ReservedNode]:
    """Return all reservations as people see them, the earliest start first."""
    return [ReservedNode(**row) for row in fetch(conn, SQL.shown)]


def change(conn: psycopg.Connection, made: Sequence[Reservation], removed: Collection[int]) -> None:
    """Record new and changed reservations, and delete those of the nodes in `removed`."""
    if removed:
        conn.execute(SQL.delete, {"hosts": list(removed)})
    if not made:
        return
    params = {
        "hosts": [each.host for each in made],
        "tasks": [each.task for each in made],
        "starts_in": [None if isinf(each.starts_in) else each.starts_in for each in made],
        "cpus": [each.spare.cpus for each in made],
        "gpu_milli": [each.spare.gpu_milli for each in made],
        "memory": [each.spare.memory_bytes for each in made],
        "scratch": [each.spare.scratch_bytes for each in made],
        "moves": [each.moves for each in made],
    }
    conn.execute(SQL.record, params)


def end(conn: psycopg.Connection, task: int) -> bool:
    """Delete the reservations for a task; whether there was one."""
    return conn.execute(SQL.end, {"task": task}).rowcount > 0


def end_on(conn: psycopg.Connection, node: int, task: int) -> None:
    """Delete the reservation of a node for a task."""
    conn.execute(SQL.end_on, {"node": node, "task": task})


def set_spare(conn: psycopg.Connection, node: int, task: int, spare: Allowance) -> None:
    """Record what is left of a node beside the job for which it is reserved."""
    params = {
        "node": node,
        "task": task,
        "cpus": spare.cpus,
        "gpu_milli": spare.gpu_milli,
        "memory": spare.memory_bytes,
        "scratch": spare.scratch_bytes,
    }
    conn.execute(SQL.set_spare, params)
