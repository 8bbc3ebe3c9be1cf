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


@dataclass(frozen=True, slots=True)
class ReservedNode:
    """A node that waits for the next job of a task, which fits on none now.

    Args:
        since: when it began to wait.
        starts_at: when it is expected to have enough; None if that is unknown.
        spare_cpus, spare_gpu_milli, spare_memory: what will be left beside the job: CPU slots, thousandths of GPUs, and
            bytes, None if that is unknown.
    """

    node: str
    task: int
    task_name: str
    owner: str
    since: datetime
    starts_at: datetime | None
    spare_cpus: int
    spare_gpu_milli: int
    spare_memory: int | None
