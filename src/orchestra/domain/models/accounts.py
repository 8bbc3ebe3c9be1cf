"""What jobs have used, summed over days, tasks, nodes and users."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self


class UsageKey(StrEnum):
    """What usage can be summed by."""

    USER = "user"
    TASK = "task"
    NODE = "node"
    QUEUE = "queue"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Used:
    """What ended attempts took. Times are in seconds, memory in byte seconds.

    Args:
        attempts: those that had a process; `done`, `failed` and `lost` of them ended so, the others were killed.
        seconds: how long they ran, together.
        cpu_requested, gpu_requested, memory_requested: what they held for that time, whether they used it or not.
        cpu_used, gpu_used, memory_used: what was measured. Memory is the peak of each attempt, times its duration.
        failed_cpu, failed_gpu, lost_cpu, lost_gpu: the part of what was requested that was wasted.
    """

    attempts: int = 0
    done: int = 0
    failed: int = 0
    lost: int = 0
    seconds: float = 0.0
    cpu_requested: float = 0.0
    cpu_used: float = 0.0
    gpu_requested: float = 0.0
    gpu_used: float = 0.0
    memory_requested: float = 0.0
    memory_used: float = 0.0
    failed_cpu: float = 0.0
    failed_gpu: float = 0.0
    lost_cpu: float = 0.0
    lost_gpu: float = 0.0

    def __add__(self, other: Self) -> Self:
        sums = (getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        return type(self)(*sums)


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The sum for one user, task, node, queue, day ("2026-11-26") and month ("2026-11"): those that were asked for."""

    used: Used
    user: str | None = None
    task: str | None = None
    task_id: int | None = None
    node: str | None = None
    queue: str | None = None
    day: str | None = None
    month: str | None = None

    def key(self, by: UsageKey) -> str:
        """The row's user, or task, ..."""
        return str(getattr(self, by.value) or "")
