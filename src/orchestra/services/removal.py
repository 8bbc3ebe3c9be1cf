"""Freeing space: the folders of a task that is deleted, and those of attempts that were superseded."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.errors import Refused, VolumeError
from orchestra.domain.models.people import User
from orchestra.domain.models.tasks import Task
from orchestra.files import attempt_folders
from orchestra.files.attempt_folders import Progress, Recorded, Removed, Survey
from orchestra.services import task_actions
from orchestra.store import jobs as job_store
from orchestra.store import task_making


@dataclass(frozen=True, slots=True)
class Removable:
    """Folders that may go, and what lies there now."""

    task: Task
    folders: Recorded
    survey: Survey


def look_at_task(
    conn: psycopg.Connection, task: int, user: User, *, progress: Progress | None = None
) -> Removable:
    """Give all folders of a task that attempts have made, with their size and the strangers beside them.

    Raises:
        NotFound, Refused: the task is not there, is somebody else's, or a live task reads its outputs.
        VolumeError: its folder cannot be read.
    """
    found = task_actions.own_task(conn, task, user)
    _refuse_while_read(conn, found)
    folders = frozenset(job_store.attempt_folders(conn, task, found.jobs))
    return Removable(found, folders, _survey(found.folder, folders, progress))


def look_at_superseded(
    conn: psycopg.Connection, task: int, user: User, *, progress: Progress | None = None
) -> Removable:
    """Give the folders of a task that no result and no attempt under way needs.

    Raises:
        NotFound, Refused, VolumeError: as `look_at_task`.
    """
    found = task_actions.own_task(conn, task, user)
    _refuse_while_read(conn, found)
    folders = frozenset(job_store.superseded_folders(conn, task, found.jobs))
    return Removable(found, folders, _survey(found.folder, folders, progress))


def remove(removable: Removable, *, progress: Progress | None = None) -> Removed:
    """Remove the folders, and the links that lead nowhere then. What cannot go is left; to be repeated then.

    Raises:
        VolumeError: the task's folder cannot be looked into.
    """
    folder = removable.task.folder
    try:
        removed = attempt_folders.remove_attempts(
            folder, sorted(removable.folders), progress=progress
        )
        attempt_folders.remove_links(folder)
    except OSError as error:
        raise VolumeError(
            f"not all of {folder} could be removed: {error.strerror or error}"
            + (f" ({error.filename})." if error.filename else "."),
            hint="Say it again when that is mended: it goes on with what is left.",
        ) from None
    return removed


def _survey(folder: str, folders: Recorded, progress: Progress | None) -> Survey:
    try:
        return attempt_folders.survey(folder, folders, progress=progress)
    except OSError as error:
        raise VolumeError(f"{folder} cannot be read: {error.strerror or error}.") from None


def _refuse_while_read(conn: psycopg.Connection, task: Task) -> None:
    readers = task_making.outputs_users(conn, task.folder)
    if readers:
        reader = readers[0]
        raise Refused(
            f"task {reader.id} ({reader.name}, {reader.state}) reads the outputs of task {task.id}.",
            hint="They can go when it is over.",
        )
