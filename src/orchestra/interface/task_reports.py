"""All that is known of one task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.wording import Sentence
from orchestra.interface.answers.task_reports import TaskReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ShowTask(Question[TaskReport]):
    """All that is to be said of one task, named by number or name.

    Raises:
        BadInput, NotFound: there is none.
    """

    word: str


@dataclass(frozen=True, slots=True)
class WhyTaskWaits(Question[tuple[Sentence, ...]]):
    """Sentences that say why a task does not move along and its jobs do not start, if something keeps them.

    Raises:
        NotFound: there is no such task.
    """

    task: int
