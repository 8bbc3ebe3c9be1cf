"""What the jobs of a task have written, as rows with what their configs say.

Only files are read of which the database does not know what they say, as whoever asks: they are of an older version's
pilots, or large. In threads, and within `patience` seconds where that is given: a volume that hangs holds nobody up.
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
from orchestra.files import document_files, fs_health
from orchestra.files.thread_map import Progress, thread_map


def read(
    sources: Sources, *, progress: Progress | None = None, patience: float | None = None
) -> Table:
    """Give all rows, in job order. What cannot be read is said in its row's note.

    Raises:
        VolumeError: the task's folder is not there, or the volume did not answer within `patience` seconds.
    """
    _check_folder(sources, patience)
    rows = thread_map(
        sources.jobs, lambda job: _row(sources, job), progress=progress, patience=patience
    )
    return domain.table_of(rows)


def _check_folder(sources: Sources, patience: float | None) -> None:
    """In a thread as well: looking for a folder of a volume that hangs takes for ever."""
    if not sources.jobs or any(job.metrics is not None for job in sources.jobs):
        return
    folder = sources.task.folder
    fs_health.check(folder, sources.config_root, patience=patience)
    if not thread_map([folder], os.path.isdir, patience=patience)[0]:
        raise VolumeError(
            f"{folder} is not there on this machine, so the results cannot be read.",
            hint="Ask on a machine that sees the task's volume.",
        )


def _row(sources: Sources, job: Result) -> Row:
    metrics, of_metrics = _metrics(sources, job)
    values, of_config = _config(sources, job)
    return Row(
        job=job.index,
        config=job.path or "",
        attempt=job.attempt,
        node=job.node,
        seconds=job.seconds,
        usage=job.usage,
        values=values,
        metrics=metrics,
        note="; ".join(filter(None, (job.inputs_note, of_metrics, of_config))) or None,
    )


def _metrics(sources: Sources, job: Result) -> tuple[Mapping[str, Any], str | None]:
    """Give a job's metrics, or none and why."""
    name = sources.task.metrics_file
    try:
        if job.metrics is not None:
            return metrics.of_text(name, job.metrics), None
        folder = JobPaths.folder(sources.task.folder, job.index, job.folder_number)
        return _written(folder, name), None
    except Unusable as error:
        return {}, f"{name} {error}"


def _written(folder: str, name: str) -> Mapping[str, Any]:
    """Read the metrics that a job wrote."""
    return metrics.of_file(name, *document_files.load_written(folder, name, BOUNDS.bytes))


def _config(sources: Sources, job: Result) -> tuple[Mapping[str, Any], str | None]:
    """Give what a job's config says; of an older task's output, what its metrics say."""
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
