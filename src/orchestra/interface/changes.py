"""What has changed since somebody looked."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.changes import TaskChanges
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ChangesSince(Question[TaskChanges]):
    """Which of some tasks have changed, or jobs of them by hand, since an earlier answer; without its cursor, all.

    What an attempt's beginning or end changes in a task's counts is no change here, as long as its state stays.
    No change is missed, however late its transaction ends.

    Raises:
        BadInput: no answer had such a cursor.
    """

    cursor: str | None
    tasks: tuple[int, ...]
