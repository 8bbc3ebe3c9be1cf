"""The identity of this database, and whether it was moved. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.models.cluster import DatabaseIdentity
from orchestra.store.driver.sql import load

SQL = load("cluster/cluster")


@dataclass(frozen=True, slots=True)
class Found:
    """The cluster's row; `in_place` says that it was written on this server and timeline."""

    identity: DatabaseIdentity
    recovering_since: datetime | None
    in_place: bool


def read(conn: psycopg.Connection) -> Found:
    row = conn.execute(SQL.read).fetchone()
    if row is None:
        raise LookupError("the cluster's row is missing")
    cluster, epoch, reason, since, in_place = row
    return Found(DatabaseIdentity(cluster, epoch, reason), since, in_place)


def is_recovering(conn: psycopg.Connection) -> bool:
    row = conn.execute(SQL.is_recovering).fetchone()
    return bool(row and row[0])


def note_move(conn: psycopg.Connection, reason: str) -> bool:
    """Raise the epoch of a database that was moved; False if another process has just done so."""
    return conn.execute(SQL.note_move, {"reason": reason}).rowcount == 1


def raise_epoch(conn: psycopg.Connection, reason: str, above: int) -> None:
    conn.execute(SQL.raise_epoch, {"reason": reason, "above": above})


def lock_recovery(conn: psycopg.Connection, patience: float) -> bool:
    """Lock a database that has been recovering for so many seconds; False if it has not."""
    return conn.execute(SQL.lock_recovery, {"patience": patience}).fetchone() is not None


def end_recovery(conn: psycopg.Connection) -> None:
    conn.execute(SQL.end_recovery)


def unreconciled_nodes(conn: psycopg.Connection) -> list[str]:
    """Return the nodes with keepers that hold attempts and have not reported what they run in this epoch."""
    return [row[0] for row in conn.execute(SQL.unreconciled_nodes)]


def generation(conn: psycopg.Connection) -> int:
    """Return how often conductors have renewed their terms, which only grows."""
    row = conn.execute(SQL.generation).fetchone()
    return int(row[0]) if row else 0


def report_sequences(conn: psycopg.Connection, keepers: Sequence[UUID]) -> dict[UUID, int]:
    """Return the sequence number of the last committed report of each keeper that the database knows."""
    rows = conn.execute(SQL.report_sequences, {"keepers": list(keepers)})
    return {row[0]: row[1] for row in rows}


def add_event(conn: psycopg.Connection, was: str, becomes: str, who: str, why: str) -> None:
    conn.execute(SQL.add_event, {"from": was, "to": becomes, "who": who, "why": why})
