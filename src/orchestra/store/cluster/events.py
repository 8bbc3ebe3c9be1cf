"""Writing events."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.store.driver.columns import Ints, Texts
from orchestra.store.driver.sql import load

SQL = load("cluster/events")


def add_task_event(
    conn: psycopg.Connection,
    task: int,
    *,
    before: str | None,
    after: str | None,
    who: str,
    why: str | None = None,
    jobs: int | None = None,
    kind: str = "task",
) -> None:
    params = {
        "kind": kind,
        "task": task,
        "from": before,
        "to": after,
        "jobs": jobs,
        "who": who,
        "why": why,
    }
    conn.execute(SQL.add_task_event, params)


def add_job_events(
    conn: psycopg.Connection,
    changes: Sequence[tuple[int, int, int | None, str, str, str | None]],
    *,
    who: str,
    node: int | None = None,
) -> None:
    """Write one event for each change: (task, index, attempt, from, to, why)."""
    if not changes:
        return
    tasks, indexes, attempts, before, after, why = zip(*changes, strict=True)
    params = {
        "tasks": Ints(tasks),
        "indexes": Ints(indexes),
        "attempts": Ints(attempts),
        "from": Texts(before),
        "to": Texts(after),
        "why": Texts(why),
        "who": who,
        "node": node,
    }
    conn.execute(SQL.add_job_events, params)
