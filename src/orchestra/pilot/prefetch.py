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


def prefetch_count(pace: Pace | None, together: int) -> int:
    """Return how many jobs of a task to prefetch: a second of work, and no more than were quick in a row.

    Args:
        together: how many of them run at a time where quick jobs follow one another, thus not in place of jobs that
            have run for long.
    """
    if pace is None or not pace.is_quick:
        return 0
    lasting = together * QUICK_SECONDS / pace.cost
    return min(MAX_PREFETCH, pace.in_a_row, round(lasting))


class Waiting(NamedTuple):
    """A job that waits until others end: its task, how many like it run `together`, and for how long it has waited."""

    task: int
    together: int = 1
    waited: float = 0.0


def to_release(waiting: Sequence[Waiting], paces: Mapping[int, Pace]) -> list[int]:
    """Return the indexes of the jobs to release, of those that wait, first come first.

    Args:
        paces: by task.
    """
    left = MAX_WAIT
    costs = {task: pace.cost for task, pace in paces.items() if pace.is_quick}
    kept: Counter[int] = Counter()
    released: list[int] = []
    for index, (task, together, waited) in enumerate(waiting):
        wait = costs.get(task, inf) / together if together else inf
        if waited > MAX_WAIT or wait > left or kept[task] >= paces[task].in_a_row:
            released.append(index)
            continue
        left -= wait
        kept[task] += 1
    return released
