"""Which tasks there are.

`task_reports.py` has all that is known of one, `task_changes.py` what is done to them, `new_tasks.py` how they are
made.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListTasks(Question[tuple[TaskLine, ...]]):
    """The tasks of a user by id, everybody's where `owner` is None; without the DONE ones unless `every`.

    Raises:
        NotFound: there is no such user.
    """

    owner: str | None = None
    every: bool = False
