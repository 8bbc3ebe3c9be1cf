"""Which node keeps its slots free for a job that needs more of them than any node has left. Pure.

One node does for a task's next job; all others go on with smaller ones. It is the node that expects to have the slots
first, as far as anybody can say: another one takes over when it expects them in less than half of the time, the next
one in less than a quarter, and so on, so that no job is passed on for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

PATIENCE = 15.0
"""Seconds after which a node that has not asked again loses the reservation: one that is held back asks every 5 s."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A job on a node: its slots, for how long it has had them, and what a job of its task takes, if that is known."""

    slots: int
    age: float
    typical_seconds: float | None = None

    @property
    def seconds_left(self) -> float:
        """What is over its time may take as long again."""
        if self.typical_seconds is None:
            return inf
        left = self.typical_seconds - self.age
        return left if left > 0 else self.age


def ready_in(missing: int, jobs: Iterable[Busy]) -> float:
    """Give the seconds until that many more slots are free, if no new job starts; infinity where nobody can say."""
    if missing <= 0:
        return 0.0
    for job in sorted(jobs, key=lambda job: job.seconds_left):
        missing -= job.slots
        if missing <= 0:
            return job.seconds_left
    return inf


def takes_over(expected: float, other: float, passed_on: int) -> bool:
    """Whether a node that expects the slots within `expected` seconds takes over from one that does within `other`."""
    return expected < other / 2.0 ** min(passed_on + 1, 60)
