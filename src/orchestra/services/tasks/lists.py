"""Lists of tasks."""

from __future__ import annotations

import psycopg

from orchestra.domain.estimates import estimate_end
from orchestra.interface.answers.tasks import TaskLine
from orchestra.store.tasks import tasks as store


def list_tasks(conn: psycopg.Connection, *, owner: str | None, every: bool) -> list[TaskLine]:
    """Return a user's tasks by id (everybody's for None); DONE tasks only with `every`."""
    now = store.now(conn)
    return [
        TaskLine(task, estimate_end(task, now))
        for task in store.listed(conn, owner=owner, every=every)
    ]
