"""The written report on one task."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.task_reports import Report
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ReportTask(Question[Report]):
    """What the written report on a task is made of (`orchestra.reports`). Its size does not grow with the task.

    Raises:
        BadInput, NotFound: there is no such task.
    """

    word: str
