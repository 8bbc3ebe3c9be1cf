"""Reading what a running job has written into its metrics file so far.

A job may append lines, of which the last complete one counts, or write beside the file and rename. A file that is
rewritten in place can be read half-written; it is read once more then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestra.domain import metrics
from orchestra.domain.documents import BOUNDS, Unusable
from orchestra.files import document_files

_PAUSE = 0.1
"""Seconds between two readings of a file that is being written."""


@dataclass(frozen=True, slots=True)
class SoFar:
    """The values, the seconds since they were written, and why there are none if that is not clear."""

    values: Mapping[str, Any] = field(default_factory=dict)
    age: float | None = None
    note: str | None = None


def read(task_folder: str, folder: str, name: str) -> SoFar:
    """Read the metrics file of a running attempt in its `folder`. A file that does not exist yet needs no note."""
    try:
        values, modified = _values(folder, name)
    except document_files.Missing:
        away = not Path(task_folder).is_dir()
        return SoFar(note=f"{task_folder} does not exist on this machine" if away else None)
    except Unusable as error:
        return SoFar(note=f"{name} {error}")
    # The clock of a file server can be ahead.
    return SoFar(values, max(0.0, time.time() - modified))


def _values(folder: str, name: str) -> tuple[Mapping[str, Any], float]:
    try:
        return _parsed(folder, name)
    except document_files.Missing:
        raise
    except Unusable:
        time.sleep(_PAUSE)
        return _parsed(folder, name)


def _parsed(folder: str, name: str) -> tuple[Mapping[str, Any], float]:
    end, facts = document_files.load_growing(folder, name, BOUNDS.bytes)
    if not facts.st_size:
        raise Unusable("is empty so far")
    return metrics.of_file(name, end, facts.st_size), facts.st_mtime
