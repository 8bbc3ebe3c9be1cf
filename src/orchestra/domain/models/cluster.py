"""The identity and the state of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from orchestra.domain import human


@dataclass(frozen=True, slots=True)
class DatabaseIdentity:
    """The identity of a database. The epoch increases when it is found to be restored, copied or failed over.

    `settling` says why nothing is claimed, changed or reassigned at present; None if all is well.
    """

    cluster: UUID
    epoch: int
    settling: str | None = None


@dataclass(frozen=True, slots=True)
class KnownDatabase:
    """What a pilot remembers of its database: its identity, the highest committed report of each keeper, and how often
    conductors had renewed their terms."""

    cluster: UUID
    epoch: int
    acknowledged: Mapping[UUID, int] = field(default_factory=dict)
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Why a database is recovering, and since when. `nodes` are those that have not yet reported their jobs."""

    reason: str
    since: datetime
    nodes: tuple[str, ...]

    def __str__(self) -> str:
        if not self.nodes:
            return f"{self.reason}; jobs start again within half a minute"
        names = human.listed(self.nodes, most=5)
        report = "reports its jobs" if len(self.nodes) == 1 else "report their jobs"
        return f"{self.reason}; nothing starts until {names} {report}"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The database server. Times in seconds, sizes in bytes.

    Args:
        latency: the fastest of a few round trips.
        ahead: how far its clock is ahead of this machine's, within the latency.
        connections: open connections of all programs and databases.
    """

    version: str
    latency: float
    ahead: float
    connections: int
    max_connections: int
    size: int
