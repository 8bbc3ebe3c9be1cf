"""A pool with what became of its allocations, and what would be decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.pools import Allocation, Decision, Pool, Situation


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool, the latest of its allocations that have ended, and when this was read."""

    pool: Pool
    ended: tuple[Allocation, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What would be decided about a pool now, and from what."""

    pool: Pool
    situation: Situation
    decision: Decision
