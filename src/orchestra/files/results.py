"""Reading a task's results: the metrics of jobs with the values of their configs.

Only files that the database has no text of are read, with the caller's permissions: large ones, and those of older
pilots. They are read in threads, and within `patience` seconds if given, so that a hung volume does not block callers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from orchestra.domain import metrics
from orchestra.domain import results as domain
from orchestra.domain.documents import BOUNDS, Unusable
from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.results import Result, Sources
from orchestra.domain.results import Row, Table
from orchestra.files import document_files, fs_health, live_results
from orchestra.files.live_results import SoFar
from orchestra.files.thread_map import Progress, thread_map


def read(
    sources: Sources, *, progress: Progress | None = None, patience: float | None = None
) -> Table:
    """Read all rows, in job order. The note of a row says what could not be read.

    Raises:
        VolumeError: the task's folder does not exist, or the volume did not answer within `patience` seconds.
    """
    _check_folder(sources, patience)
    rows = thread_map(
        sources.jobs, lambda job: _row(sources, job), progress=progress, patience=patience
    )
    if sources.running is None:
        return domain.table_of(rows)
    every = sorted([*rows, *_running(sources, patience)], key=lambda row: row.job)
    return domain.table_of(every, live=True)


def _running(sources: Sources, patience: float | None) -> list[Row]:
    """Read the rows of running jobs; a volume that does not answer costs `patience` (10 s), and only what is on it."""
    if not sources.running:
        return []
    patience = fs_health.PATIENCE if patience is None else patience
    try:
        fs_health.check(sources.task.folder, sources.config_root, patience=patience)
        return thread_map(
            sources.running, lambda job: _running_row(sources, job), patience=patience
        )
    except VolumeError as error:
        unread = SoFar(note=str(error).rstrip("."))
        return [
            _made(job, unread, _config(sources, job) if job.config is not None else ({}, None))
            for job in sources.running
        ]


def _running_row(sources: Sources, job: Result) -> Row:
    task = sources.task
    folder = JobPaths.folder(task.folder, job.index, job.folder_number)
    so_far = live_results.read(task.folder, folder, task.metrics_file)
    return _made(job, so_far, _config(sources, job))


def _check_folder(sources: Sources, patience: float | None) -> None:
    """Check the task's folder in a thread, because on a hung volume that would take forever."""
    if not sources.jobs or any(job.metrics is not None for job in sources.jobs):
        return
    folder = sources.task.folder
    fs_health.check(folder, sources.config_root, patience=patience)
    if not thread_map([folder], os.path.isdir, patience=patience)[0]:
        raise VolumeError(
            f"{folder} does not exist on this machine, so the results cannot be read.",
            hint="Run this on a machine that has the task's volume.",
        )


def _row(sources: Sources, job: Result) -> Row:
    found, note = _metrics(sources, job)
    return _made(job, SoFar(found, note=note), _config(sources, job))


def _made(job: Result, found: SoFar, config: tuple[Mapping[str, Any], str | None]) -> Row:
    values, of_config = config
    return Row(
        job=job.index,
        config=job.path or "",
        attempt=job.attempt,
        revision=job.revision,
        node=job.node,
        seconds=job.seconds,
        usage=job.usage,
        values=values,
        metrics=found.values,
        note="; ".join(filter(None, (job.inputs_note, found.note, of_config))) or None,
        state=job.state.value,
        age=found.age,
    )


def _metrics(sources: Sources, job: Result) -> tuple[Mapping[str, Any], str | None]:
    """A job's metrics, or an empty mapping and why."""
    name = sources.task.metrics_file
    try:
        if job.metrics is not None:
            return metrics.of_text(name, job.metrics), None
        folder = JobPaths.folder(sources.task.folder, job.index, job.folder_number)
        return _written(folder, name), None
    except Unusable as error:
        return {}, f"{name} {error}"


def _written(folder: str, name: str) -> Mapping[str, Any]:
    """Read a job's metrics file."""
    return metrics.of_file(name, *document_files.load_written(folder, name, BOUNDS.bytes))


def _config(sources: Sources, job: Result) -> tuple[Mapping[str, Any], str | None]:
    """The values of a job's config, or the metrics of an older task's output."""
    if job.path is None:
        return {}, None
    if job.sha256 is None:
        return _output(sources, job)
    try:
        content = _registered(sources, job) if job.config is None else job.config
        return metrics.of_config(job.path, content), None
    except Unusable as error:
        return {}, f"the config {error}"


def _output(sources: Sources, job: Result) -> tuple[Mapping[str, Any], str | None]:
    name = job.config_name or sources.task.metrics_file
    try:
        if job.config is not None:
            return metrics.of_text(name, job.config), None
        return _written(sources.config_path(job), name), None
    except Unusable as error:
        return {}, f"the config's {name} {error}"


def _registered(sources: Sources, job: Result) -> bytes:
    content = document_files.load(sources.config_path(job))
    if hashlib.sha256(content).digest() != job.sha256:
        raise Unusable("has changed since it was registered")
    return content
