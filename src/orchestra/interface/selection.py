"""Task selection: from what people type to tasks."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.selection import Selection
from orchestra.domain.models.tasks import Task
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class FindTask(Question[Task]):
    """The task with a number or a name.

    Raises:
        BadInput: it is neither.
        NotFound: there is none.
    """

    word: str


@dataclass(frozen=True, slots=True)
class FindTasks(Question[tuple[int, ...]]):
    """The selected ids, each once, in the order in which they were named.

    Raises:
        BadInput: nothing was selected, or only one end of a range.
        NotFound: one of the tasks does not exist, or a range is empty.
    """

    selection: Selection
