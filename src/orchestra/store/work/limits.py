"""What users with limits may still take. Runs inside the caller's transaction."""

from __future__ import annotations

import psycopg

from orchestra.domain.allowance import Allowance
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("work/limits")


def left_to(conn: psycopg.Connection, owner: int) -> Allowance:
    """Return what the limits of a user leave to their jobs. Exact if no other claim can take any of it meanwhile."""
    rows = fetch(conn, SQL.left_to, {"owner": owner})
    return Allowance(**rows[0]) if rows else Allowance()
