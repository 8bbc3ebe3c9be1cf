"""Lists of tasks."""

from __future__ import annotations

import psycopg

from orchestra.domain.errors import BadInput
from orchestra.domain.estimates import estimate_end
from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.tasks import ListTasks
from orchestra.store.tasks import tasks as store


def list_tasks(conn: psycopg.Connection, asked: ListTasks) -> list[TaskLine]:
    """Return the tasks of a list by id.

    Raises:
        BadInput: the limit is invalid.
    """
    if asked.limit is not None and asked.limit < 1:
        raise BadInput("a page has at least one task.")
    now = store.now(conn)
    if asked.state or asked.name or asked.before is not None or asked.limit:
        found = store.newest(
            conn,
            owner=asked.owner,
            every=asked.every,
            state=asked.state,
            name=asked.name or None,
            before=asked.before,
            limit=asked.limit,
        )
    else:
        found = store.listed(conn, owner=asked.owner, every=asked.every)
    return [TaskLine(task, estimate_end(task, now)) for task in found]
