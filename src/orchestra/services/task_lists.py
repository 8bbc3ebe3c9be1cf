"""Looking at many tasks."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.models.tasks import Task
from orchestra.services.estimates import Ends, ends
from orchestra.store import tasks as store


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A row of `task list`."""

    task: Task
    ends: Ends


def list_tasks(conn: psycopg.Connection, *, owner: str | None, every: bool) -> list[TaskLine]:
    """Give a person's tasks by id (everybody's for None), without the DONE ones unless `every`."""
    now = store.now(conn)
    return [
        TaskLine(task, ends(task, now)) for task in store.listed(conn, owner=owner, every=every)
    ]
