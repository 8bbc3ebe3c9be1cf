"""What an action would do."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.consequences import Affected, TaskAction
from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class Consequences:
    """What an action on a task would do.

    Args:
        sentences: the consequences in words, the loss first.
        refusal: why the task's state does not allow it, or why the caller may not; None if it is possible.
    """

    task: Task
    action: TaskAction
    affected: Affected
    sentences: tuple[str, ...]
    refusal: str | None = None
