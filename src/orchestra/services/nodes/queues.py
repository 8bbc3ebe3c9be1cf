"""What runs and waits on a queue."""

from __future__ import annotations

import psycopg

from orchestra.domain.states import Queue
from orchestra.interface.answers.queues import QueueReport
from orchestra.store.nodes import queues
from orchestra.store.tasks import tasks as store

NEXT_JOBS = 10


def show_queue(conn: psycopg.Connection, queue: Queue) -> QueueReport:
    """Return what runs on a queue and the next ten jobs that wait."""
    return QueueReport(
        queue,
        tuple(queues.running_jobs(conn, queue)),
        tuple(queues.waiting_jobs(conn, queue, limit=NEXT_JOBS)),
        store.now(conn),
    )
