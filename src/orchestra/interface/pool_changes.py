"""Changes of pools."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.pools import AtStake, Deletion, Pool, PoolSettings
from orchestra.interface.operation import Change, Question

UNCHANGED = PoolSettings()


@dataclass(frozen=True, slots=True)
class CreatePool(Change[Pool]):
    """Create a pool, which belongs to the caller. Nothing is submitted before a process runs it.

    Raises:
        BadInput: the name, the engine or a setting is invalid.
        AlreadyExists: the name is taken.
    """

    name: str
    engine: str
    settings: PoolSettings = UNCHANGED


@dataclass(frozen=True, slots=True)
class SetPool(Change[Pool]):
    """Change a pool, or its owner; allocations that exist stay as they are.

    Raises:
        NotFound: there is no such pool, or no such user.
        BadInput: a setting is invalid.
        Refused: it belongs to somebody else, or is being deleted.
    """

    name: str
    settings: PoolSettings = UNCHANGED
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class PausePool(Change[Pool]):
    """Submit nothing more for a pool, and withdraw what is pending; running allocations go on.

    Raises:
        BadInput: the reason cannot be stored.
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or is being deleted.
    """

    name: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ResumePool(Change[bool]):
    """Submit for a pool again, at once, also where a refusal has made it wait. False if nothing held it back.

    Raises:
        NotFound, Refused: there is none, it belongs to somebody else, or is being deleted.
    """

    name: str


@dataclass(frozen=True, slots=True)
class AllocationsAtStake(Question[AtStake]):
    """What the deletion of a pool would end.

    Raises:
        NotFound, Refused: there is none, or it belongs to somebody else.
    """

    name: str


@dataclass(frozen=True, slots=True)
class DeletePool(Change[Pool | None]):
    """Delete a pool: at once if it has no allocation, else once they have ended. The answer is the pool in that case.

    Args:
        how: "drain" lets its pilots end their jobs, "now" ends the allocations with their jobs, which are requeued.

    Raises:
        NotFound: there is none with that name.
        Refused: it belongs to somebody else, or has allocations and `how` is not given.
    """

    name: str
    how: Deletion | None = None
