"""The database server: its version, who uses it, how it responds. Nothing is changed."""

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


def server_version(conn: psycopg.Connection) -> str:
    """Return PostgreSQL's version, such as "18.4"."""
    row = conn.execute(SQL.version).fetchone()
    assert row is not None
    return str(row[0]).split()[0]


def is_private(conn: psycopg.Connection) -> bool:
    """Whether only the account that owns the database's folder can use it: it has no address, and one login."""
    row = conn.execute(SQL.is_private).fetchone()
    return bool(row and row[0])


def other_connections(conn: psycopg.Connection) -> int:
    """Return the number of other connections to this database."""
    row = conn.execute(SQL.others).fetchone()
    assert row is not None
    return int(row[0])


def online_nodes(conn: psycopg.Connection) -> list[str]:
    """Return the nodes whose pilots are online, by name."""
    return [row[0] for row in conn.execute(SQL.online_nodes)]
