"""Tasks whose jobs may start. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.placement import Placement
from orchestra.domain.resources import Request


@dataclass(frozen=True, slots=True)
class Ready:
    """A task with jobs that may start now, if there is room for them.

    Args:
        seconds: the longest time that a job takes, with its grace, as far as is known; None if unknown.
        typical: seconds that a job takes, or that the first one has run so far; None if none has started.
        is_measured: a job has ended.
        placement: where it may run; None for anywhere.
    """

    task: int
    owner: int
    account: str
    image: str | None
    request: Request
    jobs: int
    seconds: float | None = None
    typical: float | None = None
    is_measured: bool = True
    placement: Placement | None = None


def claimable(assigned: int, registered: int, claimed: int, delayed: int, *, all_come: bool) -> int:
    """Return how many jobs of a task may start now if there is room.

    Args:
        assigned, registered: jobs that are released, and those that are not yet.
        claimed: those that a node has taken and not started.
        delayed: those that wait before a retry.
        all_come: registered ones are released as others start.
    """
    return max(0, assigned - claimed - delayed) + (registered if all_come else 0)
