"""Freeing space: which folders of a deleted task, or of superseded attempts, may be removed.

`files/attempt_folders.py` inspects and removes them, in the caller's process.
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
    """Return all folders of a task that attempts have made.

    Raises:
        NotFound, Refused: there is no such task, it belongs to somebody else, or a live task reads its outputs.
    """
    found = actions.own_task(conn, caller, task)
    _refuse_while_read(conn, found)
    folders = frozenset(job_store.attempt_folders(conn, task, found.jobs))
    return Removable(found, folders)


def look_at_superseded(conn: psycopg.Connection, caller: Caller, task: int) -> Removable:
    """Return the folders of a task that neither a result nor a running attempt needs.

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
            hint="They can be removed when that task has ended.",
        )
