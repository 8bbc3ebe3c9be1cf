"""The allocations of a pool as strips along time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestra.domain.models.pools import Allocation

WIDTH = 1000
LANE = 10
LONGEST = timedelta(hours=24)
LEAST = 3.0
"""The width of what is too short to be seen otherwise."""


@dataclass(frozen=True, slots=True)
class Strip:
    """One allocation: in which lane it is, from where it waited, and from where to where it ran."""

    allocation: Allocation
    y: int
    waited_from: float
    ran_from: float
    ended: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Strips in a drawing of WIDTH, from `begins` to now; `lanes` of them are beside each other."""

    begins: datetime
    strips: tuple[Strip, ...]
    lanes: int

    @property
    def height(self) -> int:
        """The height of the drawing."""
        return self.lanes * LANE


def timeline(allocations: Sequence[Allocation], now: datetime) -> Timeline:
    """Return the allocations of at most the last LONGEST, each in the first lane that is free."""
    oldest = now - LONGEST
    shown = sorted(
        (each for each in allocations if each.ended_at is None or each.ended_at > oldest),
        key=lambda each: each.submitted_at,
    )
    begins = max(oldest, min((each.submitted_at for each in shown), default=now))
    seconds = max(60.0, (now - begins).total_seconds())
    free: list[float] = []
    strips = []
    for each in shown:
        strip = _strip(each, begins, now, seconds)
        lane = next((at for at, until in enumerate(free) if until <= strip[0]), len(free))
        free[lane : lane + 1] = [strip[2]]
        strips.append(Strip(each, lane * LANE, *strip))
    return Timeline(begins, tuple(strips), max(1, len(free)))


def _strip(
    allocation: Allocation, begins: datetime, now: datetime, seconds: float
) -> tuple[float, float, float]:
    """Return where an allocation waited, where it began to run, and where it ended."""

    def place(at: datetime) -> float:
        part = (at - begins).total_seconds() / seconds
        return round(WIDTH * min(1.0, max(0.0, part)), 2)

    end = allocation.ended_at or now
    waited, ended = place(allocation.submitted_at), place(end)
    ran = place(allocation.started_at) if allocation.started_at else ended
    return (
        min(waited, WIDTH - LEAST),
        min(ran, WIDTH),
        max(ended, min(waited, WIDTH - LEAST) + LEAST),
    )
