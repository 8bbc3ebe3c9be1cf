"""Figures for a monitoring system."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.figures import EndFigures, Figures, QueueFigures
from orchestra.domain.models.nodes import Node
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.nodes import nodes

SQL = load("cluster/figures")
LATELY = 300.0
"""Seconds for which the ends of attempts are told."""
EVENTS = 2_000
"""The latest events in which they are looked for."""
STATES = (
    "registered",
    "assigned",
    "testing",
    "running",
    "failed",
    "done",
    "kill",
    "killed",
    "broken",
)


def read(conn: psycopg.Connection) -> Figures:
    """Return the present figures. Its time depends on the live tasks and the nodes, not on the number of jobs."""
    there = nodes.everything(conn)
    jobs = {Queue(row["queue"]): row for row in fetch(conn, SQL.jobs, {})}
    (conductor,) = fetch(conn, SQL.conductor, {})
    ends = fetch(conn, SQL.attempts, {"events": EVENTS, "seconds": LATELY})
    return Figures(
        queues={
            queue: QueueFigures(
                tasks=row["tasks"] if row else 0,
                jobs={state: row[state] if row else 0 for state in STATES},
                slots=sum(_enabled(node, queue) for node in there),
                slots_in_use=sum(_in_use(node, queue) for node in there),
            )
            for queue in Queue
            for row in [jobs.get(queue)]
        },
        ends={row.pop("cause"): EndFigures(**row) for row in ends},
        nodes=len(there),
        nodes_online=sum(node.online for node in there),
        claims=conductor["claims"],
        mails=conductor["mails"],
        conductor_term=conductor["term"],
        conductor_alive=conductor["alive"],
    )


def _enabled(node: Node, queue: Queue) -> int:
    there = node.online and node.drained_at is None
    return (node.cpu if queue is Queue.CPU else node.gpu).enabled if there else 0


def _in_use(node: Node, queue: Queue) -> int:
    return node.cpu_in_use if queue is Queue.CPU else node.gpu_in_use
