"""Which tasks wait for others to be DONE. Every function runs inside its caller's transaction."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.tasks import Dependency
from orchestra.domain.states import TaskState
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/chains")
CHUNK = 20_000
"""Configs that are stored in one transaction."""


def add(conn: psycopg.Connection, task: int, after: int, name: str, *, gives_configs: bool) -> None:
    params = {"task": task, "after": after, "name": name, "gives_configs": gives_configs}
    conn.execute(SQL.add, params)


def of_task(conn: psycopg.Connection, task: int) -> list[Dependency]:
    """Return what a task still waits for, by id."""
    return [
        Dependency(**{**row, "state": TaskState(row["state"]) if row["state"] else None})
        for row in fetch(conn, SQL.of_task, {"task": task})
    ]


def followers(conn: psycopg.Connection, task: int) -> list[tuple[int, str]]:
    """Return the tasks that wait for a task: number and name."""
    return [(row["id"], row["name"]) for row in fetch(conn, SQL.followers, {"task": task})]


def config_consumer(conn: psycopg.Connection, task: int) -> tuple[int, str] | None:
    """The id and name of a task that has stored some of this one's outputs as its configs, or None."""
    rows = fetch(conn, SQL.config_consumer, {"task": task})
    return (rows[0]["id"], rows[0]["name"]) if rows else None


def remove(conn: psycopg.Connection, task: int, after: int) -> bool:
    """End a wait; False if it was over already."""
    return conn.execute(SQL.remove, {"task": task, "after": after}).rowcount == 1


def write_configs(conn: psycopg.Connection, task: int, after: int) -> bool:
    """Store up to 20,000 outputs of a DONE task as configs of the task that waits for it; True when all are stored."""
    found = fetch(conn, SQL.versions_of, {"task": task})[0]
    first = fetch(conn, SQL.written, found)[0]["first"]
    params = {"version": found["version"], "after": after, "first": first, "next": first + CHUNK}
    conn.execute(SQL.write_configs, params)
    return bool(first + CHUNK >= found["jobs"])
