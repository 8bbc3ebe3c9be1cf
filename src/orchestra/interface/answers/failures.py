"""The failures of a task in groups."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.failures import FailureReason
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class TaskFailures:
    """Failures by reason, most frequent first.

    Args:
        looked: how many jobs were grouped: all, or the first 1,000 of more.
        failed: how many there are.
    """

    task: Task
    reasons: tuple[FailureReason, ...]
    looked: int
    failed: int
