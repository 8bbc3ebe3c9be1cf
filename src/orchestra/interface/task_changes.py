"""What can be done to tasks that there are."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.task_actions import Done, NodeToAnswer, Removable
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
    """Let no new job of a task start; what runs, runs on.

    Raises:
        NotFound, Refused: it cannot be held.
    """

    task: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PilotsToAnswer(Question[tuple[NodeToAnswer, ...]]):
    """The nodes whose pilots may still start a job of held tasks, since they have claimed it before."""

    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReleaseTask(Change[Done]):
    """Let jobs of a held task start again; one that waits for others begins without them.

    Raises:
        NotFound, Refused: it cannot be released.
    """

    task: int


@dataclass(frozen=True, slots=True)
class RetryTask(Change[Done]):
    """Start the jobs of a task that are not done over; with `every` all of them; with `bypass` without a new test.

    Raises:
        NotFound, Refused: it cannot be retried.
    """

    task: int
    every: bool = False
    bypass: bool = False


@dataclass(frozen=True, slots=True)
class KillTask(Change[Done]):
    """End a task. One that has ended stays as it is, and the step says `again`.

    Raises:
        NotFound, Refused: there is none, or it is somebody else's.
    """

    task: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class FinishKill(Change[Task]):
    """Carry on with the end of a task that is being killed, where nothing of it is alive and no conductor is there.

    Raises:
        NotFound, Refused: there is none, or it is somebody else's.
    """

    task: int


@dataclass(frozen=True, slots=True)
class DeleteTask(Change[Done]):
    """Take an ended task off the lists; its rows go bit by bit, its files stay.

    Raises:
        NotFound: there is none.
        Refused: it is live, or somebody else's.
    """

    task: int


@dataclass(frozen=True, slots=True)
class RemovableFolders(Question[Removable]):
    """The folders that attempts of a task have made, or only those that no result and no attempt under way needs.

    Who asks removes them where the files are.

    Raises:
        NotFound, Refused: there is no such task, it is somebody else's, or a live task reads its outputs.
    """

    task: int
    superseded: bool = False
