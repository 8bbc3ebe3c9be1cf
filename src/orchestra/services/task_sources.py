"""What a task reads: data sets, and the outputs of older tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import psycopg

from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.tasks import Task
from orchestra.domain.own_names import TASK_PREFIX
from orchestra.domain.wording import Field, words
from orchestra.services import datasets, selection
from orchestra.store import datasets as store
from orchestra.store import task_making


@dataclass(frozen=True, slots=True)
class Source:
    """A data set or an older task whose outputs are read. `path` is what a tag that stands for it becomes.

    `to_come` says that the task is not DONE yet, and waited for.
    """

    name: str
    files: int
    path: str
    is_one_file: bool
    dataset: DataSet | None = None
    task: Task | None = None
    to_come: bool = False

    @property
    def version_id(self) -> int:
        assert self.dataset is not None  # the outputs of a task have no version before it is made
        return self.dataset.version_id


def find_input(conn: psycopg.Connection, name: str) -> Source:
    """Give the data set that a tag stands for: its file where it has one, else its folder.

    Raises:
        NotFound: there is no such data set.
        BadInput: it is empty.
    """
    dataset = datasets.find(conn, name)
    if dataset.files == 0:
        raise BadInput(f"data set {name} is empty.")
    if dataset.files > 1:
        return Source(name, dataset.files, dataset.root, False, dataset=dataset)
    path = file_path(dataset, store.files(conn, dataset.version_id, limit=1)[0].path)
    return Source(name, 1, path, True, dataset=dataset)


def find_config(conn: psycopg.Connection, name: str, after: Sequence[Task] = ()) -> Source:
    """Give what the jobs are made of: the files of a data set, or with `task:NAME` the outputs of a task's done jobs.

    The outputs of a task in `after` are those of all its jobs, since it is waited for.

    Raises:
        NotFound: there is no such data set or task.
        BadInput: it is empty.
        Refused: the task has no done jobs, or works on them at present.
    """
    if name.startswith(TASK_PREFIX):
        return _outputs(conn, name.removeprefix(TASK_PREFIX), after)
    dataset = datasets.find(conn, name)
    if dataset.files == 0:
        raise BadInput(f"data set {name} is empty; a task needs at least one config file.")
    return Source(name, dataset.files, dataset.root, dataset.files == 1, dataset=dataset)


def _outputs(conn: psycopg.Connection, word: str, after: Sequence[Task]) -> Source:
    task = selection.find(conn, word)
    if any(each.id == task.id for each in after):
        return Source(task.name, task.jobs, task.folder, False, task=task, to_come=True)
    if task.state.is_live:
        raise Refused(
            f"task {task.id} ({task.name}) is {task.state}; its outputs are not complete yet.",
            hint=words(Field.AFTER(task.id), " lets the new task wait until they are."),
        )
    if task.counts.done == 0:
        raise Refused(f"task {task.id} ({task.name}) has no done job, so there are no outputs.")
    return Source(task.name, task.counts.done, task.folder, False, task=task)


def first_configs(conn: psycopg.Connection, source: Source, limit: int) -> list[str]:
    """Give the absolute paths of the first configs."""
    if source.task is not None and source.to_come:
        folder = PurePosixPath(source.path)
        return [str(JobPaths(folder, n).link) for n in range(min(limit, source.files))]
    if source.task is not None:
        return [
            f"{source.path}/{path}"
            for path in task_making.first_outputs(conn, source.task.id, limit)
        ]
    dataset = source.dataset
    assert dataset is not None
    entries = store.files(conn, dataset.version_id, limit=limit)
    return [file_path(dataset, entry.path) for entry in entries]


def file_path(dataset: DataSet, path: str) -> str:
    """Give the absolute path of a file of a data set."""
    return f"{dataset.root}/{path}" if dataset.is_folder else dataset.root
