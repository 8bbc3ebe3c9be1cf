"""The report on one task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.wording import Sentence
from orchestra.interface.answers.task_reports import TaskReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ShowTask(Question[TaskReport]):
    """The report on a task, named by number or name; its failures are left out unless `failures`.

    Raises:
        BadInput, NotFound: there is none.
    """

    word: str
    failures: bool = True


@dataclass(frozen=True, slots=True)
class WhyTaskWaits(Question[tuple[Sentence, ...]]):
    """The reasons in sentences why a task makes no progress or its jobs do not start.

    Raises:
        NotFound: there is no such task.
    """

    task: int
