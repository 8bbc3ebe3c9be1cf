"""What a task reads: data sets, and the outputs of older tasks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

import psycopg

from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.sources import Source
from orchestra.domain.models.tasks import Task
from orchestra.domain.short_names import TASK_PREFIX
from orchestra.domain.wording import Field, words
from orchestra.services import datasets
from orchestra.services.tasks import selection
from orchestra.store import datasets as store
from orchestra.store.tasks import creation


def find_input(conn: psycopg.Connection, name: str) -> DataSet:
    """Return the data set for a tag.

    Raises:
        NotFound: there is no such data set.
        BadInput: it is empty.
    """
    dataset = datasets.find(conn, name)
    if dataset.files == 0:
        raise BadInput(f"data set {name} is empty.")
    return dataset


def source(conn: psycopg.Connection, tag: str, dataset: DataSet) -> Source:
    """Return a tag's source: the data set's only file, or its folder."""
    first = store.files(conn, dataset.version_id, limit=1) if dataset.files == 1 else ()
    return Source(
        dataset=dataset.name,
        version=dataset.version,
        root=dataset.root,
        is_folder=dataset.is_folder,
        files=dataset.files,
        tag=tag,
        only_file=first[0].path if first else None,
    )


def find_config(conn: psycopg.Connection, name: str, after: Sequence[Task] = ()) -> DataSet | Task:
    """Return the source of a task's configs: a data set, or with `task:NAME` a task whose outputs they are.

    The outputs of a task in `after` are those of all its jobs, since the new task waits for it.

    Raises:
        NotFound: there is no such data set or task.
        BadInput: it is empty.
        Refused: the task has no done jobs, or is still running.
    """
    if name.startswith(TASK_PREFIX):
        return _outputs(conn, name.removeprefix(TASK_PREFIX), after)
    dataset = datasets.find(conn, name)
    if dataset.files == 0:
        raise BadInput(f"data set {name} is empty; a task needs at least one config file.")
    return dataset


def _outputs(conn: psycopg.Connection, word: str, after: Sequence[Task]) -> Task:
    task = selection.find(conn, word)
    if any(each.id == task.id for each in after):
        return task
    if task.state.is_live:
        raise Refused(
            f"task {task.id} ({task.name}) is {task.state}; its outputs are not complete yet.",
            hint=words(Field.AFTER(task.id), " lets the new task wait until they are."),
        )
    if task.counts.done == 0:
        raise Refused(f"task {task.id} ({task.name}) has no done job, so there are no outputs.")
    return task


def first_configs(
    conn: psycopg.Connection, config: DataSet | Task, limit: int, *, to_come: bool
) -> list[str]:
    """Return the absolute paths of the first configs. `to_come`: the task whose outputs they are is waited for."""
    if isinstance(config, DataSet):
        entries = store.files(conn, config.version_id, limit=limit)
        return [file_path(config, entry.path) for entry in entries]
    if to_come:
        folder = PurePosixPath(config.folder)
        return [str(JobPaths(folder, n).link) for n in range(min(limit, config.jobs))]
    outputs = creation.first_outputs(conn, config.id, limit)
    return [f"{config.folder}/{path}" for path in outputs]


def file_path(dataset: DataSet, path: str) -> str:
    """Return the absolute path of a file of a data set."""
    return f"{dataset.root}/{path}" if dataset.is_folder else dataset.root
