"""The waiting and running jobs of a queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A line of `task queue`. `node` and the times are set only for a claimed job."""

    task_id: int
    task: str
    owner: str
    index: int
    is_test: bool
    node: str | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
