"""What was done to a task, and what can be."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.domain.transitions import TaskTransition


@dataclass(frozen=True, slots=True)
class NodeToAnswer:
    """A node whose pilot may still start a job of a held task, since it has claimed that before."""

    task: int
    node: str
    online: bool


@dataclass(frozen=True, slots=True)
class Removable:
    """Folders of attempts that may go, as (job, number of the folder)."""

    task: Task
    folders: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done to a task: how it was before, the step, and the jobs that were alive then."""

    before: Task
    step: TaskTransition

    @property
    def alive(self) -> int:
        return self.before.counts.living
