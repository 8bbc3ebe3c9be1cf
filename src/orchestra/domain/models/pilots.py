"""What pilots and the database tell each other about themselves (services/work)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from orchestra.domain.models.cluster import DatabaseIdentity
    from orchestra.domain.models.nodes import FoundResources
    from orchestra.domain.models.pools import AllocationHello
    from orchestra.domain.models.work import AttemptKey
    from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class PilotHello:
    """An agent that registers for a node.

    `runtimes` names the container runtimes that it found, without `bare`. `account` is its Unix account: it gets only
    tasks of that account, unless `serve_all` is set, or `is_root`: root started it and may run everybody's jobs. A
    `successor` continues for an earlier agent and inherits the requests to it, above all the one to stop. `user` is the
    user who started it. `found` is None until it has looked at its machine. In a pool's allocation, `allocation` says
    which, and the node is made if it is not there.
    """

    node: str
    agent: UUID
    machine_id: str
    boot_id: str
    host: str
    pid: int
    account: str
    is_root: bool
    serve_all: bool
    may_conduct: bool
    version: str
    protocol: int
    runtimes: tuple[str, ...] = ()
    successor: bool = False
    user: str = ""
    found: FoundResources | None = None
    allocation: AllocationHello | None = None


@dataclass(frozen=True, slots=True)
class KeeperHello:
    """A keeper that an agent started or adopted."""

    id: UUID
    machine_id: str
    boot_id: str
    pid: int
    version: str
    protocol: int


@dataclass(frozen=True, slots=True)
class Window:
    """When a node opens and closes next, as its pilot says.

    Args:
        opens_at: None while it is open.
        closes_at: None for a node without hours.
        utc_offset: how far its clock is ahead of UTC, in seconds.
    """

    opens_at: datetime | None = None
    closes_at: datetime | None = None
    utc_offset: int | None = None


@dataclass(frozen=True, slots=True)
class AllocationNews:
    """What a pilot has learnt of its allocation since it last said so.

    Args:
        id: the allocation's.
        ends_at: when the engine takes it back, None for no change.
        has_run: the first attempt has begun there.
    """

    id: UUID
    ends_at: datetime | None = None
    has_run: bool = False


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """The database's reply to an agent at each attach and renewal.

    Args:
        lease: seconds for which the keepers hold their attempts, from the commit of the renewal.
        enabled: slots by queue; both 0 while the node is drained.
        leave: the pilot is to take no new jobs, and to stop when its jobs have ended.
        leave_now: the same, and its jobs are to be ended.
        end: attempts to end at a user's request, each with the reason.
        recall: attempts that have not started, as far as the database knows, and are to be requeued, each with the
            reason: their task is held, or was changed after the claim.
        superseded: another agent has taken over this node; this one stops at once, and its jobs continue.
        fenced: keepers that get no more jobs; what they run and no longer hold is to be ended.
        identity: the identity of the database; at an attach.
        memory_bytes: what the operator has enabled, None for all that the agent finds.
        generation: how often conductors have renewed their terms; at a renewal.
        open_hours: the node's hours (domain/opening_hours.py), None for always.
        drain_in: seconds until the node will be drained, None if that is not planned.
        nice: what is added to the niceness of the node's jobs.
        idle: in an allocation, seconds without a job after which the pilot asks whether it may leave; None on other
            nodes, and after its pool was deleted.
    """

    node_id: int
    lease: float
    enabled: Mapping[Queue, int]
    leave: bool = False
    leave_now: bool = False
    end: tuple[tuple[AttemptKey, str], ...] = ()
    recall: tuple[tuple[AttemptKey, str], ...] = ()
    superseded: bool = False
    fenced: frozenset[UUID] = frozenset()
    identity: DatabaseIdentity | None = None
    generation: int = 0
    memory_bytes: int | None = None
    open_hours: str | None = None
    drain_in: float | None = None
    nice: int = 0
    idle: float | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The result of comparing a keeper's attempts with the database.

    `end` are attempts that the database does not (or no longer) grant to the keeper: it ends them and still reports
    their outcome. `released` counts attempts that the keeper does not hold, contrary to the database.

    A database that was replaced by an older copy does not know some attempts. `adopted` are now their jobs' latest ones
    (report their starts again); `unknown` are not: they continue, and an admin must decide.
    """

    end: tuple[AttemptKey, ...] = ()
    released: int = 0
    adopted: tuple[AttemptKey, ...] = ()
    unknown: tuple[AttemptKey, ...] = ()
