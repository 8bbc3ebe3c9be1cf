"""Questions about pools."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.pools import Pool
from orchestra.interface.answers.pools import PoolPlan, PoolReport
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListPools(Question[tuple[Pool, ...]]):
    """All pools by name, with the allocations that have not ended."""


@dataclass(frozen=True, slots=True)
class ShowPool(Question[PoolReport]):
    """A pool with its latest allocations.

    Args:
        ended: how many of those that have ended, at most 1,000.

    Raises:
        NotFound: there is none with that name.
        BadInput: the number is not possible.
    """

    name: str
    ended: int = 5


@dataclass(frozen=True, slots=True)
class PlanPool(Question[PoolPlan]):
    """What would be decided about a pool now: how many allocations would be submitted or withdrawn, and why.

    Raises:
        NotFound: there is none with that name.
    """

    name: str
