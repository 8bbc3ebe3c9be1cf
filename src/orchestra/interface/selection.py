"""Which tasks are meant by what people type."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.selection import Selection
from orchestra.domain.models.tasks import Task
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class FindTask(Question[Task]):
    """The task that a number or a name means.

    Raises:
        BadInput: it is neither.
        NotFound: there is none.
    """

    word: str


@dataclass(frozen=True, slots=True)
class FindTasks(Question[tuple[int, ...]]):
    """The ids of all that is selected, each once, in the order in which they were named.

    Raises:
        BadInput: nothing was selected, or half a range.
        NotFound: one of them is not a task, or a range is empty.
    """

    selection: Selection
