"""What users have used lately, and what the nodes offer, for the order between users."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from orchestra.domain.fair_share import Rates, Size
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("cluster/recent_use")


def read(conn: psycopg.Connection) -> dict[int, tuple[float, float]]:
    """Return the recent use of each user, in CPU slots, and the seconds since then."""
    rows = fetch(conn, SQL.recent_use)
    return {row["person_id"]: (row["lately"], row["seconds"]) for row in rows}


def write(conn: psycopg.Connection, lately: Mapping[int, float]) -> None:
    """Record the recent use of users as of now. One who was deleted meanwhile is left out."""
    if lately:
        conn.execute(SQL.record, {"people": list(lately), "lately": list(lately.values())})


def rates(conn: psycopg.Connection) -> Rates:
    """Return what memory and GPUs cost, by what all nodes offer, whether they are online or not."""
    return Rates.of(Size(**row) for row in fetch(conn, SQL.sizes))
