"""The state of a database that is recovering (`services/database/recovery.py`): no job starts."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.cluster import Recovery
from orchestra.store.cluster import cluster


def state(conn: psycopg.Connection) -> Recovery | None:
    """Return why no job starts at present; None if the database is not recovering."""
    found = cluster.read(conn)
    if found.recovering_since is None or found.identity.settling is None:
        return None
    return Recovery(
        found.identity.settling, found.recovering_since, tuple(cluster.unreconciled_nodes(conn))
    )


def epoch(conn: psycopg.Connection) -> int:
    """Return the database's epoch: 1, and one more for each time that it was replaced."""
    return cluster.read(conn).identity.epoch
