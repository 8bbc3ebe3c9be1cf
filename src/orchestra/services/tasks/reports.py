"""What the written report on a task is made of, from the database alone: no file of a user is opened.

How much is read does not depend on the number of jobs.
"""

from __future__ import annotations

import psycopg

import orchestra
from orchestra.domain.models.tasks import Task
from orchestra.domain.notifications import HELD, Notification, TaskNotification
from orchestra.interface.answers.task_reports import Report
from orchestra.services.tasks import results, views
from orchestra.store.tasks import facts as fact_store
from orchestra.store.tasks import tasks as task_store


def facts(conn: psycopg.Connection, word: str) -> Report:
    """Return what the report on a task, named by number or name, is made of. It may still be running.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    shown = views.show(conn, word)
    task = shown.task
    places = tuple(fact_store.places(conn, task.id))
    return Report(shown, results.sampled(conn, task, results.SAMPLE), places, orchestra.__version__)


def wanted(conn: psycopg.Connection, notification: Notification) -> Task | None:
    """Return the task whose report the mail about its end is to have; None for all other mails."""
    if not isinstance(notification, TaskNotification) or notification.outcome == HELD:
        return None
    task = task_store.by_id(conn, notification.task)
    return task if task and task.attach_report else None
