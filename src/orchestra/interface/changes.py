"""Changes since an earlier answer."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.changes import TaskChanges
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ChangesSince(Question[TaskChanges]):
    """Which of some tasks have changed since an earlier answer, or had jobs changed by people; without a cursor, all.

    Counts that change because an attempt starts or ends are not a change, as long as the task's state stays the same.
    No change is missed, however late its transaction commits.

    Raises:
        BadInput: the cursor is not one from an answer.
    """

    cursor: str | None
    tasks: tuple[int, ...]
