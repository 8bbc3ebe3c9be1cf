"""A cluster at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestra.domain.states import Queue

HOURS = 24


@dataclass(frozen=True, slots=True)
class QueueUse:
    """A queue: the slots of nodes that are online and not drained, those in use, and the jobs that wait."""

    queue: Queue
    enabled: int
    in_use: int
    waiting: int


@dataclass(frozen=True, slots=True)
class HourlyEnds:
    """How many jobs ended in the hour that began at `hour`."""

    hour: datetime
    done: int = 0
    failed: int = 0


def last_hours(found: Iterable[HourlyEnds], now: datetime) -> tuple[HourlyEnds, ...]:
    """Return the last 24 hours, oldest first and without gaps; the last one has just begun."""
    known = {each.hour: each for each in found}
    this = now.replace(minute=0, second=0, microsecond=0)
    hours = (this - timedelta(hours=ago) for ago in reversed(range(HOURS)))
    return tuple(known.get(hour, HourlyEnds(hour)) for hour in hours)
