"""A pool with what became of its allocations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain.models.pools import Allocation, Pool


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool, the latest of its allocations that have ended, and when this was read."""

    pool: Pool
    ended: tuple[Allocation, ...]
    now: datetime
