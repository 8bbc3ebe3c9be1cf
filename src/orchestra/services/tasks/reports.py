"""What the written report on a task is made of, from the database alone: no file of a user is opened.

How much is read does not depend on the number of jobs.
"""

from __future__ import annotations

import random

import psycopg

import orchestra
from orchestra.domain.models.results import Result, Sources
from orchestra.domain.models.tasks import Task
from orchestra.domain.notifications import HELD, Notification, TaskNotification
from orchestra.interface.answers.task_reports import Report
from orchestra.services.tasks import best, views
from orchestra.store.jobs import jobs as job_store
from orchestra.store.tasks import facts as fact_store
from orchestra.store.tasks import sources
from orchestra.store.tasks import tasks as task_store

RESULTS = 5_000
"""Results of a larger task are a random sample of its jobs, the same one each time, and its best ones."""
BEST = 10
_SIZE = 16_000_000
"""Bytes of metrics and configs that are read."""


def facts(conn: psycopg.Connection, word: str) -> Report:
    """Return what the report on a task, named by number or name, is made of. It may still be running.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    shown = views.show(conn, word)
    task = shown.task
    config = sources.config(conn, task.id)
    results = Sources(task, config.root, config.is_folder, tuple(_results(conn, task)))
    places = tuple(fact_store.places(conn, task.id))
    return Report(shown, results, places, orchestra.__version__)


def wanted(conn: psycopg.Connection, notification: Notification) -> Task | None:
    """Return the task whose report the mail about its end is to have; None for all other mails."""
    if not isinstance(notification, TaskNotification) or notification.outcome == HELD:
        return None
    task = task_store.by_id(conn, notification.task)
    return task if task and task.attach_report else None


def _results(conn: psycopg.Connection, task: Task) -> list[Result]:
    indexes = random.Random(task.id).sample(range(task.jobs), min(RESULTS, task.jobs))  # noqa: S311 - not a secret
    if task.jobs > RESULTS and (foremost := best.best_jobs(conn, task, BEST)):
        indexes = list(dict.fromkeys([*foremost[1], *indexes]))
    return job_store.some_results(conn, task.id, indexes, _SIZE)
