"""Which database this is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from orchestra.domain import human


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """Which database this is. The epoch rises when it turns out to have been replaced: restored, copied, failed over.

    `settling` says why nothing is claimed, moved or given away at present, None where all is well.
    """

    cluster: UUID
    epoch: int
    settling: str | None = None


@dataclass(frozen=True, slots=True)
class KnownDatabase:
    """What a pilot remembers of its database: who it is, the highest report of each keeper that it committed, and how
    often conductors had renewed their terms."""

    cluster: UUID
    epoch: int
    acknowledged: Mapping[UUID, int] = field(default_factory=dict)
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Why a database settles and since when; `nodes` are those that have not said what they run."""

    reason: str
    since: datetime
    nodes: tuple[str, ...]

    def __str__(self) -> str:
        if not self.nodes:
            return f"{self.reason}; work goes on within half a minute"
        names = human.listed(self.nodes, most=5)
        say = "has said what it runs" if len(self.nodes) == 1 else "have said what they run"
        return f"{self.reason}; nothing starts until {names} {say}"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server. Times in seconds, sizes in bytes.

    Args:
        latency: the quickest of a few round trips.
        ahead: by how much its clock is ahead of this machine's, as far as the latency lets one see.
        connections: those that are open, of all programs and databases.
    """

    version: str
    latency: float
    ahead: float
    connections: int
    max_connections: int
    size: int
