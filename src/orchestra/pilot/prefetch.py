"""How many jobs to prefetch before there are slots for them, and which of them to release. Pure.

Where jobs take milliseconds, claiming each of them separately would take longer than running them, so a pilot
prefetches some. Nobody else can run a prefetched job. A pilot therefore prefetches only jobs of tasks whose recent jobs
here were quick, and releases them as soon as that changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

QUICK_SECONDS = 1.0
"""Jobs that take less are quick; this many seconds of work are prefetched."""
MAX_WAIT = 2.0 * QUICK_SECONDS
"""Seconds after which a prefetched job is released, as is one that is expected to wait so long. Twice the work that is
prefetched, so that jobs are not claimed and released in turn."""
MAX_PREFETCH = 128
"""Prefetched jobs at most, so that half of them last while the other half is claimed."""
MIN_SECONDS = 0.001
"""Seconds that a job is assumed to need at least."""
WEIGHT = 0.2
"""Weight of the latest job in the average duration."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a job of a task takes on this node, and how many of the last ones in a row were quick."""

    seconds: float
    in_a_row: int = 0

    @property
    def cost(self) -> float:
        """The seconds to expect."""
        return max(self.seconds, MIN_SECONDS)

    @property
    def is_quick(self) -> bool:
        return self.seconds < QUICK_SECONDS and self.in_a_row > 0


def updated_pace(pace: Pace | None, seconds: float) -> Pace:
    """Return the pace after one more job. One that was not quick counts at once, however many were."""
    if seconds >= QUICK_SECONDS:
        return Pace(seconds)
    if pace is None:
        return Pace(seconds, 1)
    return Pace(pace.seconds + (seconds - pace.seconds) * WEIGHT, pace.in_a_row + 1)


def capped_pace(pace: Pace, kept: int) -> Pace:
    """Return the pace after a release: no more jobs than were kept are prefetched until others were quick."""
    return Pace(pace.seconds, min(pace.in_a_row, kept))


def prefetch_count(pace: Pace | None, slots: int, width: int = 1) -> int:
    """Return how many jobs of a task to prefetch: a second of work, and no more than were quick in a row.

    Args:
        slots: those in which quick jobs follow one another, without those that a job has had for long.
        width: the slots that each job takes.
    """
    if pace is None or not pace.is_quick:
        return 0
    lasting = slots / width * QUICK_SECONDS / pace.cost
    return min(MAX_PREFETCH, pace.in_a_row, round(max(lasting, 0)))


class Waiting(NamedTuple):
    """A job that waits for slots: its task, the slots that it takes, and the seconds for which it has waited."""

    task: int
    width: int
    waited: float = 0.0


def to_release(
    waiting: Sequence[Waiting], free: int, slots: int, paces: Mapping[int, Pace]
) -> list[int]:
    """Return the indexes of the jobs to release, of those that wait, first come first.

    Args:
        free: slots that are free: a job that fits there starts now.
        slots: as for `prefetch_count`.
        paces: by task.
    """
    left = MAX_WAIT * slots
    costs = {task: pace.cost for task, pace in paces.items() if pace.is_quick}
    kept: Counter[int] = Counter()
    released: list[int] = []
    for index, (task, width, waited) in enumerate(waiting):
        if width <= free:
            free -= width
            continue
        cost = costs.get(task, inf)
        if waited > MAX_WAIT or width * cost > left or kept[task] >= paces[task].in_a_row:
            released.append(index)
            continue
        left -= width * cost
        kept[task] += 1
        free = 0  # the next ones wait behind it
    return released
