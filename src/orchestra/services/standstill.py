"""Why nothing starts at present, where the database settles (`settling.py`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from orchestra.domain import human
from orchestra.store import cluster


@dataclass(frozen=True, slots=True)
class Settling:
    """Why a database settles and since when; `nodes` are those that have not said what they run."""

    reason: str
    since: datetime
    nodes: tuple[str, ...]

    def __str__(self) -> str:
        if not self.nodes:
            return f"{self.reason}; work goes on within half a minute"
        names = human.listed(self.nodes, most=5)
        say = "has said what it runs" if len(self.nodes) == 1 else "have said what they run"
        return f"{self.reason}; nothing starts until {names} {say}"


def state(conn: psycopg.Connection) -> Settling | None:
    """Give why nothing goes on at present; None when all is well."""
    found = cluster.read(conn)
    if found.settling_since is None or found.identity.settling is None:
        return None
    return Settling(
        found.identity.settling, found.settling_since, tuple(cluster.unheard_nodes(conn))
    )


def epoch(conn: psycopg.Connection) -> int:
    """Give how often this database was replaced, counted from 1."""
    return cluster.read(conn).identity.epoch
