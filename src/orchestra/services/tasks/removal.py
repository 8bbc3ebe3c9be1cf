"""Freeing space: which folders may go, of a task that is deleted and of attempts that were superseded.

`files/attempt_folders.py` looks at them and removes them, in the process of whoever asks.
"""

from __future__ import annotations

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import Refused
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.task_actions import Removable
from orchestra.services.tasks import actions
from orchestra.store.jobs import jobs as job_store
from orchestra.store.tasks import creation


def look_at_task(conn: psycopg.Connection, caller: Caller, task: int) -> Removable:
    """Give all folders of a task that attempts have made.

    Raises:
        NotFound, Refused: the task is not there, is somebody else's, or a live task reads its outputs.
    """
    found = actions.own_task(conn, caller, task)
    _refuse_while_read(conn, found)
    folders = frozenset(job_store.attempt_folders(conn, task, found.jobs))
    return Removable(found, folders)


def look_at_superseded(conn: psycopg.Connection, caller: Caller, task: int) -> Removable:
    """Give the folders of a task that no result and no attempt under way needs.

    Raises:
        NotFound, Refused: as `look_at_task`.
    """
    found = actions.own_task(conn, caller, task)
    _refuse_while_read(conn, found)
    folders = frozenset(job_store.superseded_folders(conn, task, found.jobs))
    return Removable(found, folders)


def _refuse_while_read(conn: psycopg.Connection, task: Task) -> None:
    readers = creation.outputs_users(conn, task.folder)
    if readers:
        reader = readers[0]
        raise Refused(
            f"task {reader.id} ({reader.name}, {reader.state}) reads the outputs of task {task.id}.",
            hint="They can go when it is over.",
        )
