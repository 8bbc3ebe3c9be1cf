"""Why nothing starts at present, where the database settles (`settling.py`)."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.cluster import Recovery
from orchestra.store.cluster import cluster


def state(conn: psycopg.Connection) -> Recovery | None:
    """Give why nothing goes on at present; None when all is well."""
    found = cluster.read(conn)
    if found.settling_since is None or found.identity.settling is None:
        return None
    return Recovery(
        found.identity.settling, found.settling_since, tuple(cluster.unheard_nodes(conn))
    )


def epoch(conn: psycopg.Connection) -> int:
    """Give how often this database was replaced, counted from 1."""
    return cluster.read(conn).identity.epoch
