"""Looking at a queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import psycopg

from orchestra.domain.states import Queue
from orchestra.store import queues
from orchestra.store import tasks as store

NEXT_JOBS = 10


@dataclass(frozen=True, slots=True)
class QueueReport:
    """What runs on a queue, and what comes next."""

    queue: Queue
    running: tuple[queues.QueuedJob, ...]
    waiting: tuple[queues.QueuedJob, ...]
    now: datetime


def show_queue(conn: psycopg.Connection, queue: Queue) -> QueueReport:
    """Give what runs on a queue and the next ten jobs that wait."""
    return QueueReport(
        queue,
        tuple(queues.running_jobs(conn, queue)),
        tuple(queues.waiting_jobs(conn, queue, limit=NEXT_JOBS)),
        store.now(conn),
    )
