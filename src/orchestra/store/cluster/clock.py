"""Timestamps in the future, after the database's clock was set back."""

from __future__ import annotations

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
