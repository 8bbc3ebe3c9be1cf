"""Questions about the failures of a task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.failures import TaskFailures
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class FailuresOf(Question[TaskFailures]):
    """The failed jobs of a task, named by number or name: by reason, by the last lines of their logs, and by node.

    For a BROKEN task, those of its test.

    Raises:
        BadInput, NotFound: there is none.
    """

    word: str
