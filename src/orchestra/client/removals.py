"""Deleting a task, and removing its attempts' folders in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.client.session import Session, with_hint
from orchestra.domain.errors import Incomplete, TimedOut
from orchestra.domain.human import count, size

if TYPE_CHECKING:
    from orchestra.files.attempt_folders import Removed
    from orchestra.interface.answers.task_actions import Removable


def delete(session: Session, task: int, *, force: bool, remove: bool, timeout: float) -> None:
    """Delete a task; with `remove`, remove its attempts' folders first."""
    from orchestra.interface.task_changes import DeleteTask, OwnTask, RemovableFolders
    from orchestra.interface.waiting import kill_for_good

    if force and not kill_for_good(session, task, timeout=timeout):
        with with_hint():
            raise TimedOut(
                f"task {task} is being killed, and some of its jobs are still running.",
                hint="Delete it when it is KILLED; wait() returns then.",
            )
    if remove and not session(OwnTask(task)).state.is_live:
        _remove(session(RemovableFolders(task)))
    session(DeleteTask(task))


def clean(session: Session, task: int) -> Removed:
    """Remove the folders of superseded attempts."""
    from orchestra.interface.task_changes import RemovableFolders

    return _remove(session(RemovableFolders(task, superseded=True)))


def _remove(removable: Removable) -> Removed:
    from orchestra.files import attempt_folders

    with with_hint():
        removed = attempt_folders.remove(removable.task.folder, removable.folders)
        if not removed.complete:
            reasons = "; ".join(f"{why}: {path}" for why, path in removed.reasons.items())
            raise Incomplete(
                f"task {removable.task.id} ({removable.task.name}): {size(removed.left_bytes)} of "
                f"{count(removed.left_attempts, 'attempt')} could not be removed ({reasons}).",
                hint="Fix that and try again.",
            )
    return removed
