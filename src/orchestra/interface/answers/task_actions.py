"""What was done to a task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.domain.transitions import TaskStep


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to a task: how it was before, the step, and the jobs that were alive then."""

    before: Task
    step: TaskStep

    @property
    def alive(self) -> int:
        return self.before.counts.living
