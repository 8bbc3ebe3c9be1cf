"""Deleting old data. Every function deletes a small portion, inside its caller's transaction."""

from __future__ import annotations

import psycopg

from orchestra.store.driver.columns import Ints
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import purge

SQL = load("cluster/retention")
ROWS = 2_000
NODES = 100
"""Nodes in one portion."""
FAILURES_KEPT = 100
"""Failed jobs of a task whose log tails are kept."""


def delete_events(conn: psycopg.Connection, seconds: float, after: int) -> int | None:
    """Delete old events from a page, and return where the next page starts, or None after the last one."""
    params = {"seconds": seconds, "after": after, "limit": ROWS}
    last: int | None = fetch(conn, SQL.delete_events, params)[0]["last"]
    return last


def next_task(conn: psycopg.Connection, seconds: float) -> tuple[int, int] | None:
    """The id and the number of jobs of a task that has been over for so long, or None."""
    rows = fetch(conn, SQL.next_task, {"seconds": seconds})
    return (rows[0]["id"], rows[0]["jobs"]) if rows else None


def delete_logs(conn: psycopg.Connection, task: int, first: int) -> int:
    """Delete the log tails of a task's next jobs, except those of its last failures, and return the next index."""
    kept = fetch(conn, SQL.last_failures, {"task": task, "limit": FAILURES_KEPT})
    params = {
        "task": task,
        "first": first,
        "next": first + ROWS,
        "indexes": Ints([row["ordinal"] for row in kept]),
        "numbers": Ints([row["number"] for row in kept]),
    }
    conn.execute(SQL.delete_logs, params)
    return first + ROWS


def note_forgotten(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.note_forgotten, {"task": task})


def delete_hours(conn: psycopg.Connection) -> None:
    """Delete how many jobs ended in hours that nobody looks at any more."""
    conn.execute(SQL.delete_hours)


def delete_keepers(conn: psycopg.Connection, seconds: float) -> bool:
    """Delete keepers that have been gone for so long; False if there were none."""
    return conn.execute(SQL.delete_keepers, {"seconds": seconds, "limit": ROWS}).rowcount > 0


def delete_nodes(conn: psycopg.Connection, seconds: float, after: int) -> int | None:
    """Delete nodes of allocations that ended long ago, of one page; return where the next page starts, if anywhere."""
    params = {"seconds": seconds, "after": after, "limit": NODES}
    last: int | None = fetch(conn, SQL.delete_nodes, params)[0]["last"]
    return last


def delete_allocations(conn: psycopg.Connection, seconds: float) -> bool:
    """Delete a portion of the allocations that ended long ago and have no node any more; False if there was none."""
    params = {"seconds": seconds, "limit": ROWS}
    return conn.execute(SQL.delete_allocations, params).rowcount > 0


def delete_versions(conn: psycopg.Connection, seconds: float) -> bool:
    """Delete a portion of an unused list of files; False if there was none."""
    versions = [row["id"] for row in fetch(conn, SQL.versions_to_forget, {"seconds": seconds})]
    return bool(versions) and purge.purge_versions(conn, versions, ROWS)


def delete_credentials(conn: psycopg.Connection) -> bool:
    """Delete a portion of what no longer signs anybody in; False if there was none."""
    statements = (SQL.delete_codes, SQL.delete_sessions, SQL.delete_tokens)
    return sum(conn.execute(each, {"limit": ROWS}).rowcount for each in statements) > 0


def delete_answers(conn: psycopg.Connection) -> bool:
    """Delete a portion of the answers that are kept under idempotency keys for a day; False if there was none."""
    return conn.execute(SQL.delete_answers, {"limit": ROWS}).rowcount > 0
