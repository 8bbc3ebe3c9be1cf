"""Removing deleted tasks and unused lists of files, a portion at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/purge")


def purge_deleted(conn: psycopg.Connection, limit: int) -> bool:
    """Delete up to `limit` rows of one deleted task; False if nothing is left."""
    rows = fetch(conn, SQL.deleted_tasks)
    if not rows:
        return False
    task = rows[0]["id"]
    versions = [row["id"] for row in fetch(conn, SQL.unused_versions, {"task": task})]
    params = {"task": task, "versions": versions, "limit": limit}
    portions = (
        SQL.purge_attempts,
        SQL.purge_metrics,  # after the attempts, so that no outcome adds any
        SQL.purge_jobs,
        SQL.purge_files,
        SQL.purge_texts,
    )
    _purge(conn, portions, (SQL.purge_task, SQL.purge_versions, SQL.purge_datasets), params)
    return True


def purge_versions(conn: psycopg.Connection, versions: Sequence[int], limit: int) -> bool:
    """Delete up to `limit` rows of lists of files, and finally the lists themselves. Always True."""
    params = {"versions": list(versions), "limit": limit}
    portions = (SQL.purge_files, SQL.purge_texts)
    _purge(conn, portions, (SQL.purge_versions, SQL.purge_datasets), params)
    return True


def _purge(
    conn: psycopg.Connection,
    portions: Sequence[LiteralString],
    last: Sequence[LiteralString],
    params: Mapping[str, Any],
) -> None:
    """Run the first of the `portions` that still deletes something; after all of them, the `last` statements."""
    if not any(conn.execute(statement, params).rowcount for statement in portions):
        for statement in last:
            conn.execute(statement, params)
