"""What the database knows about a task's results. `files/results.py` reads the rest from the volume."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.results import Sources
from orchestra.services.tasks import selection
from orchestra.store.jobs import jobs as job_store
from orchestra.store.tasks import sources


def look_up(conn: psycopg.Connection, word: str) -> Sources:
    """Return where a task's results are; the task may still be running.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    task = selection.find(conn, word)
    config = sources.config(conn, task.id)
    jobs = job_store.results(conn, task.id, task.jobs)
    former = sources.former_roots(conn, task.id) if task.revision > 1 else {}
    return Sources(task, config.root, config.is_folder, tuple(jobs), former)
