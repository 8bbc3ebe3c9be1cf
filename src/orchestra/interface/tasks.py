"""Lists of tasks.

`task_reports.py` has the report on one, `task_changes.py` the changes, `new_tasks.py` the creation.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListTasks(Question[tuple[TaskLine, ...]]):
    """The tasks of a user by id, or everybody's if `owner` is None; DONE tasks only with `every`.

    Raises:
        NotFound: there is no such user.
    """

    owner: str | None = None
    every: bool = False
