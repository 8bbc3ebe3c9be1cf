"""Creating tasks. Between plan and creation, the caller checks the new task's files on its machine."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.new_tasks import Preview
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class FindOwnTask(Question[Task | None]):
    """The caller's task with a name, if there is one.

    Raises:
        BadInput: the name is invalid for a task of the caller's.
    """

    name: str


@dataclass(frozen=True, slots=True)
class PlanTask(Question[Preview]):
    """What a task would be, with so many of its first commands. Its files are not read.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """

    new: NewTask
    commands: int = 0


@dataclass(frozen=True, slots=True)
class CreateTask(Change[Task]):
    """Create a task with all its jobs.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence about what cannot be used.
    """

    new: NewTask
