"""The allocations of a pool, counted as a decision needs them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from orchestra.domain.models.pools import Allocation, AllocationState, Situation

UNKNOWN_COUNTS = timedelta(minutes=10)
"""How long an allocation that the engine does not know any more is still expected to serve."""
ATTACHES_WITHIN = timedelta(minutes=10)
"""How long an allocation that runs is expected to serve although its pilot has not attached."""
AT_WORK_WITHIN = timedelta(minutes=2)
"""How long after its first pilot an allocation may take until there is a pilot on each machine, and the first job."""


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
        case AllocationState.SUBMITTING | AllocationState.PENDING:
            return True
        case AllocationState.STARTING:
            return now - (allocation.started_at or now) < ATTACHES_WITHIN
        case AllocationState.UNKNOWN:
            known_at = allocation.seen_at or allocation.submitted_at
            is_expected = not allocation.pilots and not allocation.cancelled_at
            return is_expected and now - known_at < UNKNOWN_COUNTS
        case AllocationState.SERVING:
            return _is_new(allocation, now)
        case AllocationState.LEAVING | AllocationState.ENDED:
            return False


def _serves(allocation: Allocation, now: datetime) -> bool:
    if allocation.state is AllocationState.UNKNOWN:
        return bool(allocation.pilots)
    return allocation.state is AllocationState.SERVING and not _is_new(allocation, now)


def _is_new(allocation: Allocation, now: datetime) -> bool:
    """Whether room is still to come in it: a pilot looks at its machine before it is known to have any."""
    is_young = bool(allocation.started_at and now - allocation.started_at < AT_WORK_WITHIN)
    is_whole = len(allocation.pilots) >= allocation.nodes and allocation.first_job_at
    return is_young and not is_whole
