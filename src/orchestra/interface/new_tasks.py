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
class SettingsOf(Question[NewTask]):
    """The request for one more task like an existing one, anybody's, with its data sets by name.

    Args:
        word: the existing task, by number or name.
        name: of the new task; None for that of the existing one, in the caller's namespace, with the next free number.

    `host` is empty in the answer, and `volume` where the task is somebody else's; the caller's machine knows them.

    Raises:
        BadInput, NotFound: there is no such task, or the name is not valid for one of the caller's.
        Refused: through a server, it has environment variables and is somebody else's.
    """

    word: str
    name: str | None = None


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
