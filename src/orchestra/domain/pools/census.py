"""The allocations of a pool, counted as a decision needs them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestra.domain.models.pools import Allocation, AllocationState, Situation

UNKNOWN_COUNTS = timedelta(minutes=10)
"""How long an allocation that the engine does not know any more is still expected to serve."""
ALL_NODES_WITHIN = timedelta(minutes=2)
"""How long after its start an allocation of several machines may take until a pilot runs on each."""


@dataclass(frozen=True, slots=True)
class Census:
    """The allocations of a pool, counted.

    Args:
        pilots: those of all allocations, since each counts against the limit until it has ended.
        waiting: allocations that wait, or may wait, in the engine's queue.
        coming: allocations that are expected to serve, as a whole.
        serving: allocations whose pilots take jobs.
        pending: those that may be withdrawn, the youngest first.
    """

    pilots: int
    waiting: int
    coming: int
    serving: int
    pending: tuple[UUID, ...]


def census(situation: Situation) -> Census:
    """Count the allocations of a pool."""
    every = situation.allocations
    pending = [
        each for each in every if each.state is AllocationState.PENDING and not each.cancelled_at
    ]
    return Census(
        pilots=sum(each.nodes for each in every),
        waiting=sum(map(_may_wait, every)),
        coming=sum(_is_coming(each, situation.now) for each in every),
        serving=sum(_serves(each, situation.now) for each in every),
        pending=tuple(
            each.id for each in sorted(pending, key=lambda each: each.submitted_at, reverse=True)
        ),
    )


def _may_wait(allocation: Allocation) -> bool:
    is_lost = allocation.state is AllocationState.UNKNOWN and not allocation.started_at
    return allocation.state.is_waiting or is_lost


def _is_coming(allocation: Allocation, now: datetime) -> bool:
    match allocation.state:
        case AllocationState.SUBMITTING | AllocationState.PENDING | AllocationState.STARTING:
            return True
        case AllocationState.UNKNOWN:
            known_at = allocation.seen_at or allocation.submitted_at
            return not allocation.pilots and now - known_at < UNKNOWN_COUNTS
        case AllocationState.SERVING:
            return _lacks_pilots(allocation, now)
        case AllocationState.LEAVING | AllocationState.ENDED:
            return False


def _serves(allocation: Allocation, now: datetime) -> bool:
    if allocation.state is AllocationState.UNKNOWN:
        return bool(allocation.pilots)
    return allocation.state is AllocationState.SERVING and not _lacks_pilots(allocation, now)


def _lacks_pilots(allocation: Allocation, now: datetime) -> bool:
    """Whether room is still to come in it, which is therefore not yet known to be free."""
    is_young = bool(allocation.started_at and now - allocation.started_at < ALL_NODES_WITHIN)
    return is_young and len(allocation.pilots) < allocation.nodes
