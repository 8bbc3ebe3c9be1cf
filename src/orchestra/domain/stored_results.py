"""Results as far as the database has them: for whoever opens no file of a user. Pure.

`files/results.py` reads the rest: large files, and those of older pilots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestra.domain import metrics
from orchestra.domain.documents import Unusable
from orchestra.domain.models.results import Result, Sources
from orchestra.domain.results import Row, Table, table_of

_NOT_STORED = "is not in the database"


def table(sources: Sources) -> Table:
    """Return the results as a table, in job order. The note of a row says what is missing."""
    return table_of([_row(sources, job) for job in sources.jobs])


def _row(sources: Sources, job: Result) -> Row:
    name = sources.task.metrics_file
    found, of_metrics = _read(name, name, job.metrics)
    values, of_config = _config(name, job)
    return Row(
        job=job.index,
        config=job.path or "",
        attempt=job.attempt,
        node=job.node,
        seconds=job.seconds,
        usage=job.usage,
        values=values,
        metrics=found,
        note="; ".join(filter(None, (job.inputs_note, of_metrics, of_config))) or None,
    )


def _config(metrics_file: str, job: Result) -> tuple[Mapping[str, Any], str | None]:
    if job.path is None:
        return {}, None
    if job.sha256 is None:  # an older task's output
        name = job.config_name or metrics_file
        return _read(name, f"the config's {name}", job.config)
    if job.config is None:
        return {}, f"the config {_NOT_STORED}"
    try:
        return metrics.of_config(job.path, job.config), None
    except Unusable as error:
        return {}, f"the config {error}"


def _read(name: str, what: str, text: str | None) -> tuple[Mapping[str, Any], str | None]:
    if text is None:
        return {}, f"{what} {_NOT_STORED}"
    try:
        return metrics.of_text(name, text), None
    except Unusable as error:
        return {}, f"{what} {error}"
