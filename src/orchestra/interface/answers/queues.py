"""A queue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.queues import QueuedJob
from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class QueueReport:
    """The running jobs of a queue, and the next ones."""

    queue: Queue
    running: tuple[QueuedJob, ...]
    waiting: tuple[QueuedJob, ...]
    now: datetime
