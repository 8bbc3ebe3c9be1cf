"""Which database this is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database this is. The epoch rises when it turns out to have been replaced: restored, copied, failed over.

    `settling` says why nothing is claimed, moved or given away at present, None where all is well.
    """

    cluster: UUID
    epoch: int
    settling: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a pilot remembers of its database: who it is, the highest report of each keeper that it committed, and how
    often conductors had renewed their terms."""

    cluster: UUID
    epoch: int
    acknowledged: Mapping[UUID, int] = field(default_factory=dict)
    beat: int = 0
