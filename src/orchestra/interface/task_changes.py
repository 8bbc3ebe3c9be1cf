"""Changes of existing tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.task_actions import Changed, Done, NodeToAnswer, Removable
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class OwnTask(Question[Task]):
    """A task that the caller may change.

    Raises:
        NotFound: there is none.
        Refused: it belongs to somebody else.
    """

    task: int


@dataclass(frozen=True, slots=True)
class HoldTask(Change[Done]):
    """Start no new job of a task; running jobs continue.

    Raises:
        NotFound, Refused: it cannot be held.
    """

    task: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PilotsToAnswer(Question[tuple[NodeToAnswer, ...]]):
    """The nodes whose pilots may still start a job of held tasks, because they claimed it before the hold."""

    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTask(Change[Done]):
    """Let jobs of a held task start again; a task that waits for others begins without them.

    Raises:
        NotFound, Refused: it cannot be released.
    """

    task: int


@dataclass(frozen=True, slots=True)
class SetTask(Change[Changed]):
    """Change settings of a task. What jobs are started with counts for those that have not started.

    Raises:
        BadInput: a value cannot be used.
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    task: int
    settings: NewSettings


@dataclass(frozen=True, slots=True)
class RetryTask(Change[Done]):
    """Retry the jobs of a task that are not done, or with `every` all of them; `bypass` skips the test.

    Raises:
        NotFound, Refused: it cannot be retried.
    """

    task: int
    every: bool = False
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class KillTask(Change[Done]):
    """Kill a task. A task that has ended stays as it is, and the transition says `again`.

    Raises:
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    task: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FinishKill(Change[Task]):
    """Finish the kill of a task that has no job alive, without a conductor: in chunks, each a transaction.

    Raises:
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    repeatable: ClassVar[bool] = True

    task: int


@dataclass(frozen=True, slots=True)
class DeleteTask(Change[Done]):
    """Delete an ended task; its rows are removed in chunks, its files stay.

    Raises:
        NotFound: there is none.
        Refused: it is live, or belongs to somebody else.
    """

    task: int


@dataclass(frozen=True, slots=True)
class RemovableFolders(Question[Removable]):
    """The folders that a task's attempts have created, or only those that no result and no running attempt needs.

    The caller removes them, on its machine.

    Raises:
        NotFound, Refused: there is no such task, it belongs to somebody else, or a live task reads its outputs.
    """

    task: int
    superseded: bool = False
