"""What the database knows about a task's results. `files/results.py` reads the rest from the volume."""

from __future__ import annotations

import random
from dataclasses import replace

import psycopg

from orchestra.domain.models.results import Sources
from orchestra.domain.models.tasks import Task
from orchestra.services.tasks import best, selection
from orchestra.store.jobs import jobs as job_store
from orchestra.store.tasks import sources

SAMPLE = 5_000
"""Results of a larger task are a random sample of its jobs, the same one each time, and its best ones."""
SHOWN = 2_000
"""The same for a page, which has to come at once."""
BEST = 10
_SIZE = 16_000_000
"""Bytes of metrics and configs that a sample reads."""


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


def sampled(conn: psycopg.Connection, task: Task, most: int) -> Sources:
    """Return the results of a task; of one with more than `most` jobs a sample of so many, and the best ones."""
    indexes = random.Random(task.id).sample(range(task.jobs), min(most, task.jobs))  # noqa: S311 - not a secret
    if task.jobs > most and (foremost := best.best_jobs(conn, task, BEST)):
        indexes = list(dict.fromkeys([*foremost[1], *indexes]))
    config = sources.config(conn, task.id)
    jobs = job_store.some_results(conn, task.id, indexes, _SIZE)
    former = sources.former_roots(conn, task.id) if task.revision > 1 else {}
    return Sources(task, config.root, config.is_folder, tuple(jobs), former)
