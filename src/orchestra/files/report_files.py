"""The results for a written report, read from the files where they can be."""

from __future__ import annotations

from orchestra.domain import stored_results
from orchestra.domain.errors import VolumeError
from orchestra.domain.models.results import Sources
from orchestra.domain.results import Table
from orchestra.files import results
from orchestra.files.thread_map import Progress

_PATIENCE = 30.0


def read(sources: Sources, *, progress: Progress | None = None) -> Table:
    """Return the results; only what the database has if the volume is not here, or does not answer in 30 s."""
    try:
        return results.read(sources, progress=progress, patience=_PATIENCE)
    except VolumeError:
        return stored_results.table(sources)
