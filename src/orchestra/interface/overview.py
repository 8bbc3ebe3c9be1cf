"""A cluster at a glance, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.tasks import Task
from orchestra.interface.answers.overview import Overview
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class ShowOverview(Question[Overview]):
    """What needs attention and what runs, of a user's tasks or of everybody's if `owner` is None; the use of slots.

    Raises:
        NotFound: there is no such user.
    """

    owner: str | None = None


@dataclass(frozen=True, slots=True)
class AcknowledgeTask(Change[Task]):
    """Note that the failures of a task that has ended were seen: it no longer needs attention, until it ends again.

    Raises:
        NotFound, Refused: there is none, it is live, or it belongs to somebody else.
    """

    task: int
