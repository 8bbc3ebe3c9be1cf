"""Lists of tasks.

`task_reports.py` has the report on one, `task_changes.py` the changes, `new_tasks.py` the creation.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import TaskState
from orchestra.interface.answers.tasks import TaskLine
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListTasks(Question[tuple[TaskLine, ...]]):
    """The tasks of a user by id, or everybody's if `owner` is None; DONE tasks only with `every`.

    Args:
        state: only those in this state, also if it is DONE.
        name: only those whose names contain this.
        before: only those with a lower id.
        limit: only the newest of them, so many.

    Raises:
        NotFound: there is no such user.
        BadInput: the limit is invalid.
    """

    owner: str | None = None
    every: bool = False
    state: TaskState | None = None
    name: str | None = None
    before: int | None = None
    limit: int | None = None
