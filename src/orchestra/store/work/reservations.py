"""Reservations: a node keeps slots free for the next job of a task. See `domain/reservation.py`."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.reservation import PATIENCE, Busy
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("work/reservations")


@dataclass(frozen=True, slots=True)
class Reservation:
    """`ready_in` is in seconds; `passed_on` counts the nodes that took the reservation over."""

    node_id: int
    ready_in: float
    passed_on: int = 0


def busy_jobs(conn: psycopg.Connection, node: int, queue: Queue) -> list[tuple[int, Busy]]:
    """Return the jobs that occupy slots of a queue on a node, each with its task."""
    rows = fetch(conn, SQL.busy_jobs, {"node": node, "queue": queue})
    return [(row["task"], Busy(row["slots"], row["age"], row["typical_seconds"])) for row in rows]


def of_task(conn: psycopg.Connection, task: int) -> Reservation | None:
    """The reservation for a task, or None. One that was not renewed for a while has expired."""
    rows = fetch(conn, SQL.of_task, {"task": task, "patience": PATIENCE})
    fresh = [row for row in rows if row["is_fresh"]]
    return (
        Reservation(fresh[0]["node_id"], fresh[0]["ready_in"], fresh[0]["passed_on"])
        if fresh
        else None
    )


def renew(conn: psycopg.Connection, task: int, held: Reservation) -> bool:
    """Reserve slots for the next job of a task; False if another transaction is changing the reservation."""
    if not _lock(conn, task):
        return False
    params = {"task": task, "node": held.node_id, "ready_in": held.ready_in}
    conn.execute(SQL.renew, {**params, "passed_on": held.passed_on})
    return True


def end(conn: psycopg.Connection, task: int) -> bool:
    """Delete a task's reservation; False if there is none or another transaction is changing it."""
    return _lock(conn, task) and conn.execute(SQL.end, {"task": task}).rowcount > 0


def _lock(conn: psycopg.Connection, task: int) -> bool:
    return bool(fetch(conn, SQL.lock, {"task": task})[0]["locked"])
