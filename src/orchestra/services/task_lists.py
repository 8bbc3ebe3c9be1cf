"""Looking at many tasks: the list, the queues."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import Queue
from orchestra.services.estimates import Ends, ends
from orchestra.store import tasks as store

NEXT_JOBS = 10


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A row of `task list`."""

    task: Task
    ends: Ends


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What runs on a queue, and what comes next."""

    queue: Queue
    running: tuple[store.QueuedJob, ...]
    waiting: tuple[store.QueuedJob, ...]
    now: datetime


def list_tasks(conn: psycopg.Connection, *, owner: str | None, every: bool) -> list[TaskLine]:
    """Give a person's tasks by id (everybody's for None), without the DONE ones unless `every`."""
    now = store.now(conn)
    return [
        TaskLine(task, ends(task, now)) for task in store.listed(conn, owner=owner, every=every)
    ]


def show_queue(conn: psycopg.Connection, queue: Queue) -> QueueReport:
    """Give what runs on a queue and the next ten jobs that wait."""
    return QueueReport(
        queue,
        tuple(store.running_jobs(conn, queue)),
        tuple(store.waiting_jobs(conn, queue, limit=NEXT_JOBS)),
        store.now(conn),
    )
