"""How many more allocations the waiting jobs of a pool are worth. Pure.

Work is counted in allocation-seconds: what one allocation does in a second. Until a new allocation starts, and beside
it afterwards, the room that serves already takes jobs from the same line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf

from orchestra.domain.models.pools import Load, Situation

SHORTEST = 0.001
"""Seconds that a job takes at least."""
ANOTHER_PROBE = 300.0
"""Seconds after which another allocation is submitted for jobs that nobody has measured, while none has started."""
_LITTLE = 1e-6
"""Jobs, or allocations, that come from rounding alone."""


@dataclass(slots=True)
class Room:
    """Room that takes jobs of some tasks, in allocations of the pool: when it is free, and when it ends."""

    size: float
    tasks: frozenset[int]
    free_in: float
    ends_in: float = inf

    def take(self, seconds: float, jobs: Jobs, until: float) -> float:
        """Take up to so many allocation-seconds of jobs until then, and return how many it has taken.

        Jobs are not taken that would not end before the room does.
        """
        if jobs.task not in self.tasks:
            return 0.0
        typical = jobs.typical
        whole_jobs = floor((self.ends_in - self.free_in) / typical) if self.ends_in < inf else inf
        span = min(until - self.free_in, whole_jobs * typical)
        if span <= 0:
            return 0.0
        taken = min(seconds, self.size * span)
        self.free_in += taken / self.size
        return taken


@dataclass(frozen=True, slots=True)
class Jobs:
    """Some jobs of one task. `seconds` is their work, in allocation-seconds."""

    task: int
    seconds: float
    typical: float

    @property
    def width(self) -> float:
        """The allocations that run them all at once."""
        return self.seconds / self.typical


def wanted(situation: Situation, *, patient: bool = True) -> int:
    """Return how many allocations would have work beside those that serve, whatever the limits are.

    Args:
        patient: an allocation first waits in the engine's queue, and has then work for `min_work` seconds; otherwise it
            starts at once, half of that is enough, and jobs of which none has ended are long. That is what a pending
            one may be worth: were both the same, small changes would have some submitted and withdrawn in turn.
    """
    min_work = situation.limits.min_work * (1.0 if patient else 0.5)
    wait = (situation.wait or 0.0) if patient else 0.0
    jobs = _measured(situation.loads, None if patient else min_work)
    rooms = [Room(each.size, each.tasks, each.free_in, each.ends_in) for each in situation.serving]
    return max(_worth(jobs, rooms, wait, min_work), _probes(situation, min_work))


def _probes(situation: Situation, min_work: float) -> int:
    """Return how many allocations are to measure jobs of which none has ever started.

    It is one, and none while one that has just begun may do so. In a slow queue more join it as time passes: they can
    be withdrawn when the first one has started, and the test of a task does not wait in that queue twice.
    """
    width = sum(load.jobs / max(1, load.fit) for load in situation.loads if load.typical is None)
    began = (each.first_job_at for each in situation.allocations if each.first_job_at)
    if any((situation.now - at).total_seconds() < min_work for at in began):
        return 0
    waits = (each.submitted_at for each in situation.allocations if each.state.is_waiting)
    longest = max(((situation.now - at).total_seconds() for at in waits), default=0.0)
    return min(ceil(width - _LITTLE), 1 + floor(longest / ANOTHER_PROBE))


def _measured(loads: Iterable[Load], unmeasured: float | None) -> list[Jobs]:
    """Return the jobs of these loads.

    Args:
        unmeasured: how long jobs take at least of which none has ended; None: as long as the first one has run, and
            those of which none has started are left out.
    """
    found = []
    for load in loads:
        typical = load.typical
        if unmeasured is not None and not (load.is_measured and typical is not None):
            typical = max(typical or 0.0, unmeasured)
        if typical is not None and load.jobs > 0:
            seconds = max(SHORTEST, typical)
            found.append(Jobs(load.task, load.jobs / max(1, load.fit) * seconds, seconds))
    return found


def _worth(jobs: list[Jobs], room: list[Room], wait: float, min_work: float) -> int:
    """Return how many allocations have work for `min_work` seconds if they start after `wait` seconds."""
    left = _absorbed(jobs, room, wait)
    # A job that takes that long is worth an allocation by itself, or the part of one that it fills.
    width = sum(each.width for each in left if each.typical >= min_work)
    whole = ceil(width - _LITTLE)
    beside = [*room, Room(whole - width, frozenset(each.task for each in jobs), wait)]
    short = _absorbed([each for each in left if each.typical < min_work], beside, wait + min_work)
    more = whole + (floor(sum(each.seconds for each in short) / min_work) if short else 0)
    # However little it is, it is not to wait behind long jobs, nor for an allocation that never comes.
    return more or (1 if _absorbed(short, room, wait + 2 * min_work) else 0)


def _absorbed(jobs: Sequence[Jobs], room: Sequence[Room], until: float) -> list[Jobs]:
    """Return the jobs that still wait then, after the room has taken from the line what it can."""
    left = []
    free = list(room)
    for each in jobs:
        free = [one for one in free if one.size > 0 and one.free_in < until]
        seconds = each.seconds
        for one in free:
            seconds -= one.take(seconds, each, until)
            if seconds <= _LITTLE * each.typical:
                break
        else:
            left.append(Jobs(each.task, seconds, each.typical))
    return left
