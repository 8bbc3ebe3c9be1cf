"""What the jobs of a task have written, as rows with what their configs say.

Two steps, so that no connection waits for a volume: `look_up` asks the database, `read` and `best` read files, in
threads, and within `patience` seconds where that is given: a volume that hangs holds nobody up.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import psycopg

from orchestra.domain import documents
from orchestra.domain import results as domain
from orchestra.domain.documents import Unusable
from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.tasks import Task
from orchestra.domain.results import Goal, Row, Table
from orchestra.services import selection, structured
from orchestra.services.in_threads import Progress, in_threads
from orchestra.store import jobs as job_store
from orchestra.store import sources

BEST = 5
"""Rows that a mail or the last screen of a run shows."""
_OTHERS = 20


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the results of a task lie: one entry a job that has been done, in job order."""

    task: Task
    config_root: str
    config_is_folder: bool
    jobs: Sequence[job_store.Result]

    def folder(self, job: job_store.Result) -> str:
        """Give the folder that a job has written into."""
        return JobPaths.folder(self.task.folder, job.ordinal, job.folder_number)

    def config_path(self, job: job_store.Result) -> str:
        """Give a job's config; that of a task made of an older one's outputs is a folder."""
        return f"{self.config_root}/{job.path}" if self.config_is_folder else self.config_root


@dataclass(frozen=True, slots=True)
class Best:
    """The best rows of a task, the best one first, and the metric that says so.

    `others` are a few rows from all over the task: what varied is seen beside them, though it be one value in the best.
    """

    table: Table
    goal: Goal
    others: tuple[Row, ...] = ()


def look_up(conn: psycopg.Connection, word: str) -> Sources:
    """Give where a task's results lie; the task may still be working.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    task = selection.find(conn, word)
    config = sources.config(conn, task.id)
    jobs = job_store.results(conn, task.id, task.config_version_id, task.jobs)
    return Sources(task, config.root, config.is_folder, jobs)


def read(
    sources: Sources, *, progress: Progress | None = None, patience: float | None = None
) -> Table:
    """Give all rows, in job order. What cannot be read is said in its row's note.

    Raises:
        VolumeError: the task's folder is not there, or the volume did not answer within `patience` seconds.
    """
    _check_folder(sources, patience)
    rows = in_threads(
        sources.jobs, lambda job: _row(sources, job), progress=progress, patience=patience
    )
    return domain.table_of(rows)


def best(sources: Sources, *, limit: int = BEST, patience: float | None = None) -> Best | None:
    """Give the best rows, or nothing where no metric's name says which are best or no file can be read in time.

    Each metrics file is read once, and only the configs of the rows that are given; so this takes about half of `read`.
    """
    if not sources.jobs:
        return None
    try:
        _check_folder(sources, patience)
        rows = in_threads(sources.jobs, lambda job: _with_metrics(sources, job), patience=patience)
        table = domain.table_of(rows)
        goal = domain.goal(table)
        if goal is None:
            return None
        first = domain.best(table, goal, limit)
        by_ordinal = {job.ordinal: job for job in sources.jobs}
        # At random: every fifth, say, would be the same seed each time in a grid of five seeds. And the same each time.
        sample = Random(0).sample(table.rows, min(_OTHERS, len(table.rows)))  # noqa: S311
        rows = in_threads(
            (*first.rows, *sample),
            lambda row: _with_config(sources, by_ordinal[row.job], row),
            patience=patience,
        )
    except VolumeError:
        return None
    complete = domain.table_of(rows[: len(first.rows)])
    goal = Goal(complete.find(f"metrics.{goal.column.key}"), goal.highest)
    return Best(complete, goal, tuple(rows[len(first.rows) :]))


def _check_folder(sources: Sources, patience: float | None) -> None:
    """In a thread as well: looking for a folder of a volume that hangs takes for ever."""
    if not sources.jobs:
        return
    folder = sources.task.folder
    if not in_threads([folder], os.path.isdir, patience=patience)[0]:
        raise VolumeError(
            f"{folder} is not there on this machine, so the results cannot be read.",
            hint="Ask on a machine that sees the task's volume.",
        )


def _row(sources: Sources, job: job_store.Result) -> Row:
    return _with_config(sources, job, _with_metrics(sources, job))


def _with_metrics(sources: Sources, job: job_store.Result) -> Row:
    name = sources.task.metrics_file
    metrics, note = _values(sources.folder(job), name, name)
    return Row(
        job=job.ordinal,
        config=job.path or "",
        attempt=job.attempt,
        node=job.node,
        seconds=job.seconds,
        cpu_seconds=job.cpu_seconds,
        memory_bytes=job.max_rss_bytes,
        metrics=metrics,
        note="; ".join(filter(None, (job.inputs_note, note))) or None,
    )


def _with_config(sources: Sources, job: job_store.Result, row: Row) -> Row:
    values, note = _config_values(sources, job)
    notes = [each for each in (row.note, note) if each]
    return replace(row, values=values, note="; ".join(notes) or None)


def _values(folder: str, name: str, shown: str) -> tuple[Mapping[str, Any], str | None]:
    """Give the values of a metrics file, or none and why."""
    try:
        return _flat(documents.parse_last(name, structured.load_written(folder, name))[0]), None
    except Unusable as error:
        return {}, f"{shown} {error}"


def _flat(found: Any) -> dict[str, Any]:
    if not isinstance(found, Mapping):
        raise Unusable("holds no names with values")
    try:
        return domain.flatten(found)
    except ValueError as error:
        raise Unusable(str(error)) from None


def _config_values(sources: Sources, job: job_store.Result) -> tuple[Mapping[str, Any], str | None]:
    """Give what a job's config says; of an older task's output, what its metrics say."""
    if job.path is None:
        return {}, None
    path = sources.config_path(job)
    if job.sha256 is None:
        name = sources.task.metrics_file
        return _values(path, name, f"the config's {name}")
    try:
        content = structured.load(path)
        if hashlib.sha256(content).digest() != job.sha256:
            raise Unusable("has changed since it was registered")
        if not path.lower().endswith(documents.SUFFIXES):
            return _perhaps(path, content), None
        return _flat(documents.parse(path, content)), None
    except Unusable as error:
        return {}, f"the config {error}"


def _perhaps(path: str, content: bytes) -> Mapping[str, Any]:
    """A config can be anything; one that is no JSON by its name may still be some."""
    try:
        return _flat(documents.parse(path, content))
    except Unusable:
        return {}
