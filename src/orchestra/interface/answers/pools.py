"""A pool with what became of its allocations, and what would be decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.pools import Allocation, Decision, Load, Pool


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool, the latest of its allocations that have ended, and when this was read."""

    pool: Pool
    ended: tuple[Allocation, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What would be decided about a pool now, and from what.

    Args:
        loads: the jobs that wait and that its pilots could run, in the order in which they start.
        serving: the room of nodes that take such jobs now, in allocations of the pool.
        wait: seconds that its last allocations waited in the engine's queue; None if none has started.
    """

    pool: Pool
    decision: Decision
    loads: tuple[Load, ...]
    serving: float
    wait: float | None
    now: datetime
