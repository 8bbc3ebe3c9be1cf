"""Changes of tasks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.task_settings import SettingChange
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


@dataclass(frozen=True, slots=True)
class Changed:
    """New settings of a task: the task before and after, what differs, and the failures that count for max_fails.

    `unserved` is why no node could run one of its jobs, as the nodes are: "no node can ..."; None if one could.
    """

    before: Task
    after: Task
    changes: tuple[SettingChange, ...]
    failures: int
    unserved: str | None = None
