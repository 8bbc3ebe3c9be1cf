"""The database's clock, and timestamps in the future after it was set back."""

from __future__ import annotations

from datetime import datetime

import psycopg

from orchestra.domain.retry_policy import RETRY_AT_MOST, RETRY_FIRST
from orchestra.store.driver.sql import load

SQL = load("cluster/clock")
LONGEST_MAIL_PAUSE = 3600.0
JOBS_AT_A_TIME = 5_000


def bring_back(conn: psycopg.Connection) -> bool:
    """Correct timestamps, so that nothing waits longer than configured; True if a job would have."""
    conn.execute(SQL.bring_back, {"mail": LONGEST_MAIL_PAUSE})
    params = {"first": RETRY_FIRST, "at_most": RETRY_AT_MOST, "limit": JOBS_AT_A_TIME}
    return conn.execute(SQL.shorten_back_off, params).rowcount > 0


def now(conn: psycopg.Connection) -> datetime:
    """Return the time by the database's clock; within a transaction, that of its beginning."""
    row = conn.execute(SQL.now).fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment
