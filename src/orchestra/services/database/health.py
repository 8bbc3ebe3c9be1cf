"""The state of the database server, for `maestro doctor`. Nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Callable

import psycopg

from orchestra.domain.models.cluster import ServerFacts
from orchestra.store.driver.sql import load

SQL = load("cluster/health")
_ASKED = 3


def server(conn: psycopg.Connection, *, now: Callable[[], float] = time.time) -> ServerFacts:
    """Return facts about the server; needs no schema."""
    latency, ahead = min((_ask_the_time(conn, now) for _ in range(_ASKED)), key=lambda one: one[0])
    row = conn.execute(SQL.server).fetchone()
    assert row is not None
    return ServerFacts(row[0].split()[0], latency, ahead, row[1], row[2], row[3])


def _ask_the_time(conn: psycopg.Connection, now: Callable[[], float]) -> tuple[float, float]:
    before, started = now(), time.perf_counter()
    row = conn.execute(SQL.clock).fetchone()
    took = time.perf_counter() - started
    assert row is not None
    return took, row[0] - (before + took / 2)


def conductor(conn: psycopg.Connection) -> str | None:
    """Return the present conductor, or None."""
    row = conn.execute(SQL.conductor).fetchone()
    return str(row[0]) if row else None
