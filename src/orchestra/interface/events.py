"""Questions about events, for those who follow all that happens."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.events import EventPage
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListEvents(Question[EventPage]):
    """The events after a cursor, each exactly once, and none is missed however late its transaction commits.

    An event is told when every transaction that began before it is over. Events of tasks that have ended are kept as
    long as the database's retention says.

    Args:
        after: the cursor of an earlier answer. Without one, what happens from now on; "first" is the oldest event that
            is kept.
        limit: how many at most, from 1 to 5,000.

    Raises:
        BadInput: the cursor is not one from an answer, or the limit is not possible.
    """

    after: str | None = None
    limit: int = 1000
