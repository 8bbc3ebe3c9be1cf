"""What the database knows about a task's results. `files/results.py` reads the rest from the volume."""

from __future__ import annotations

from dataclasses import replace

import psycopg

from orchestra.domain.models.results import Sources
from orchestra.services.tasks import selection
from orchestra.store.jobs import jobs as job_store
from orchestra.store.tasks import sources


def look_up(conn: psycopg.Connection, word: str, *, live: bool = False) -> Sources:
    """Return where a task's results are; the task may still be running. With `live`, also where running jobs write.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    task = selection.find(conn, word)
    config = sources.config(conn, task.id)
    running = job_store.running(conn, task.id) if live else None  # first: they may end meanwhile
    jobs = job_store.results(conn, task.id, task.jobs)
    former = sources.former_roots(conn, task.id) if task.revision > 1 else {}
    found = Sources(task, config.root, config.is_folder, tuple(jobs), former)
    if running is None:
        return found
    done = {job.index: job.attempt for job in jobs}
    latest = {job.index: job for job in running if job.attempt > done.get(job.index, 0)}
    others = tuple(job for job in jobs if job.index not in latest)
    return replace(found, jobs=others, running=tuple(latest.values()))
