"""How many jobs to hold before there are slots for them, and which of them go back. Pure.

Where jobs take milliseconds, asking for each of them would take longer than they do; so a pilot holds some ahead. What
it holds, nobody else can run: so it holds what it knows to be quick, by its own jobs of late, and lets go of the rest
as soon as it knows better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

QUICK_SECONDS = 1.0
"""Jobs that take less are quick; so many seconds of work are held ahead."""
PATIENCE = 2.0 * QUICK_SECONDS
"""What has waited for so long goes back, and what would, by what is known now. Twice the work that is held, so that
nothing goes to and fro."""
AT_MOST = 128
"""Jobs held ahead, so that half of them last while the other half is asked for."""
LEAST = 0.001
"""Seconds that a job is taken to need at least."""
WEIGHT = 0.2
"""Of the latest job, in how long one takes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What this node has seen of a task: how long a job takes, and how many of the last ones in a row were quick."""

    seconds: float
    in_a_row: int = 0

    @property
    def cost(self) -> float:
        """The seconds to reckon with."""
        return max(self.seconds, LEAST)

    @property
    def is_quick(self) -> bool:
        return self.seconds < QUICK_SECONDS and self.in_a_row > 0


def updated_pace(pace: Pace | None, seconds: float) -> Pace:
    """Give the pace after one more job. One that was not quick counts at once, however many were."""
    if seconds >= QUICK_SECONDS:
        return Pace(seconds)
    if pace is None:
        return Pace(seconds, 1)
    return Pace(pace.seconds + (seconds - pace.seconds) * WEIGHT, pace.in_a_row + 1)


def capped_pace(pace: Pace, kept: int) -> Pace:
    """Give the pace after jobs of the task went back: no more than were kept are held before others were quick."""
    return Pace(pace.seconds, min(pace.in_a_row, kept))


def prefetch_count(pace: Pace | None, slots: int, width: int = 1) -> int:
    """Give how many jobs of a task to hold ahead: a second of work, and no more than were quick in a row.

    Args:
        slots: those in which quick jobs follow one another: without those that a job has had for long.
        width: the slots that each job takes.
    """
    if pace is None or not pace.is_quick:
        return 0
    lasting = slots / width * QUICK_SECONDS / pace.cost
    return min(AT_MOST, pace.in_a_row, round(max(lasting, 0)))


class Waiting(NamedTuple):
    """A job that is held: its task, the slots that it takes, and the seconds for which it has waited."""

    task: int
    width: int
    waited: float = 0.0


def to_release(
    waiting: Sequence[Waiting], free: int, slots: int, paces: Mapping[int, Pace]
) -> list[int]:
    """Give the places of what goes back now, of the jobs that wait, first come first.

    Args:
        free: the slots that nobody has: what fits there begins now.
        slots: as for `prefetch_count`.
        paces: by task.
    """
    left = PATIENCE * slots
    costs = {task: pace.cost for task, pace in paces.items() if pace.is_quick}
    ahead: Counter[int] = Counter()
    back: list[int] = []
    for place, (task, width, waited) in enumerate(waiting):
        if width <= free:
            free -= width
            continue
        cost = costs.get(task, inf)
        if waited > PATIENCE or width * cost > left or ahead[task] >= paces[task].in_a_row:
            back.append(place)
            continue
        left -= width * cost
        ahead[task] += 1
        free = 0  # the next ones wait behind it
    return back
