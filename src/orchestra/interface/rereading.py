"""Taking the inputs of a task as they are now: the caller's data sets are read again, and get new versions first."""

from __future__ import annotations

import os
from collections.abc import Callable

from orchestra.domain.models.datasets import FileChoice, Manifest
from orchestra.files import file_lists, origin
from orchestra.files.manifest import Progress
from orchestra.interface.answers.task_inputs import TaskInputs, Updated
from orchestra.interface.dataset_changes import UpdateDataSet
from orchestra.interface.datasets import listed_files
from orchestra.interface.operation import Interface
from orchestra.interface.task_inputs import InputsOf, UpdateTask
from orchestra.interface.uploading import uploads_of


def update(
    ask: Interface,
    task: int,
    *,
    every: bool = False,
    bypass: bool = False,
    progress: Progress | None = None,
    take: Callable[[str, Manifest], Manifest] = lambda _, found: found,
) -> tuple[TaskInputs, Updated]:
    """Read a task's inputs again, then let it read them and retry what is not done, or with `every` all.

    All files are read before anything is written. Of other people's data sets, their newest versions are taken.

    Args:
        take: uploads the files of a data set of that name, if necessary, and returns them as they are to be registered.

    Raises:
        BadInput: a file or folder cannot be read, or a folder has no files any more.
        NotFound, Refused: the task cannot be retried, or a data set that it reads has been deleted.
    """
    found = ask(InputsOf(task))
    read = [
        (each.dataset, file_lists.again(each.dataset, listed_files(ask, each.dataset), progress))
        for each in found.inputs
        if each.own
    ]
    more = _again(ask, found.more, progress) if found.more else None
    known = found.task.origin
    program = origin.again(known, os.environ) if known else None
    for dataset, files in read:
        ask(UpdateDataSet(dataset.name, take(dataset.name, files), dataset.version_id))
    return found, ask(UpdateTask(task, more, program, every, bypass))


def _again(ask: Interface, paths: tuple[str, ...], progress: Progress | None) -> Manifest | None:
    """Return configs as they are now; None if they were uploaded from here, so that nobody changes them."""
    there = [path for path in paths if os.path.lexists(path)]
    if not there and uploads_of(ask):
        return None
    if not there:
        return Manifest("/", True, ())
    return file_lists.of_paths(there, progress, FileChoice(all_files=True))
