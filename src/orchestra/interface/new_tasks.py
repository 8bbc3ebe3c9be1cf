"""Making tasks. What is to be seen of a new task's files is looked at in between, where the files are."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.new_tasks import Preview
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class FindOwnTask(Question[Task | None]):
    """The caller's task of that name, if there is one.

    Raises:
        BadInput: no task of the caller's can be called that.
    """

    name: str


@dataclass(frozen=True, slots=True)
class PlanTask(Question[Preview]):
    """What a task would be, with so many of its first commands. Its files are not looked at.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence on what cannot be used.
    """

    new: NewTask
    commands: int = 0


@dataclass(frozen=True, slots=True)
class CreateTask(Change[Task]):
    """Make a task with all its jobs.

    Raises:
        BadInput, NotFound, AlreadyExists, Refused: one sentence on what cannot be used.
    """

    new: NewTask
