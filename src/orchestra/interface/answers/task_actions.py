"""Changes of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.domain.transitions import TaskTransition


@dataclass(frozen=True, slots=True)
class NodeToAnswer:
    """A node whose pilot may still start a job of a held task, because it claimed it before the hold."""

    task: int
    node: str
    online: bool


@dataclass(frozen=True, slots=True)
class Removable:
    """Folders of attempts that may be removed, as (job, number of the folder)."""

    task: Task
    folders: frozenset[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Done:
    """A change of a task: the task before it, the transition, and the jobs that were alive."""

    before: Task
    step: TaskTransition

    @property
    def alive(self) -> int:
        return self.before.counts.living
