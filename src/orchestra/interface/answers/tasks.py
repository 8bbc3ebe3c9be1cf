"""Tasks, one a line."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task


@dataclass(frozen=True, slots=True)
class Ends:
    """The seconds until a task is over, or in a few words why nobody knows; both None: it is over."""

    seconds: float | None = None
    words: str | None = None


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A row of `task list`."""

    task: Task
    ends: Ends


@dataclass(frozen=True, slots=True)
class Waited:
    """How the tasks stood when the waiting was over; `timed_out` says that some were not over."""

    tasks: tuple[Task, ...]
    timed_out: bool
