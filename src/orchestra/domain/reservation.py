"""Which node reserves its free slots for a job that needs more of them than any node has left. Pure.

One node reserves slots for a task's next job; the others continue with smaller ones. It is the node that expects the
slots first. Another node takes over if it expects them in less than half the time, the next one in less than a quarter,
and so on, so that a reservation cannot move forever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

PATIENCE = 15.0
"""Seconds after which a node that has not asked again loses its reservation. Nodes ask every 5 s."""


@dataclass(frozen=True, slots=True)
class Busy:
    """A running job: its slots, its age, and the typical duration of its task's jobs, if known. Seconds."""

    slots: int
    age: float
    typical_seconds: float | None = None

    @property
    def seconds_left(self) -> float:
        """The expected time to its end. A job beyond its typical duration is expected to take as long again."""
        if self.typical_seconds is None:
            return inf
        left = self.typical_seconds - self.age
        return left if left > 0 else self.age


def ready_in(missing: int, jobs: Iterable[Busy]) -> float:
    """The seconds until so many more slots are free if no job starts; infinity if unknown."""
    if missing <= 0:
        return 0.0
    for job in sorted(jobs, key=lambda job: job.seconds_left):
        missing -= job.slots
        if missing <= 0:
            return job.seconds_left
    return inf


def takes_over(expected: float, other: float, passed_on: int) -> bool:
    """Whether a node that expects the slots in `expected` seconds takes over from one that expects them in `other`."""
    return expected < other / 2.0 ** min(passed_on + 1, 60)
