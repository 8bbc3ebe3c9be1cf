"""Tasks, one a line."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.estimates import Ends
from orchestra.domain.models.tasks import Task


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
