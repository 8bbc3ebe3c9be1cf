"""What other pools have on its way, so that several pools do not all answer the same jobs. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from orchestra.domain.models.pools import Allocation, AllocationState, Pool

PATIENCE = timedelta(seconds=60)
"""How long a pool leaves jobs to another one, created before it, whose allocations wait in the engine's queue."""
ATTACHES_WITHIN = timedelta(seconds=120)
"""How long after its start an allocation of another pool is expected to serve."""


def coming(pool: Pool, pools: Iterable[Pool], now: datetime) -> list[tuple[Pool, int]]:
    """Return other pools for the same queue, and how many allocations of each are expected to serve soon.

    Of two pools with the same jobs one submits first, the older one. If its allocations only wait, the other submits,
    too: which one starts first is up to the engine, and what nobody needs any more is withdrawn.
    """
    found = []
    for other in pools:
        if other.id == pool.id or other.spec.queue is not pool.spec.queue:
            continue
        comes = sum(_comes(each, now, is_first=other.id < pool.id) for each in other.live)
        found += [(other, comes)] if comes else []
    return found


def _comes(allocation: Allocation, now: datetime, *, is_first: bool) -> bool:
    if allocation.cancelled_at:
        return False
    if allocation.state.is_waiting:
        return is_first and now - allocation.submitted_at < PATIENCE
    began = allocation.started_at
    is_starting = allocation.state is AllocationState.STARTING
    return is_starting and began is not None and now - began < ATTACHES_WITHIN
