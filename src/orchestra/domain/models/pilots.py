"""What pilots and the database say to each other of themselves (services/work)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from orchestra.domain.models.cluster import DatabaseIdentity
    from orchestra.domain.models.work import AttemptKey
    from orchestra.domain.states import Queue


@dataclass(frozen=True, slots=True)
class PilotHello:
    """An agent that wants to decide for a node.

    `runtimes` names the container runtimes that it found, without `bare`. `account` is its Unix account: unless root
    started it or `serve_all` is set, it is given that account's tasks alone. A `successor` goes on for an agent before
    it, so what that one was asked for holds for it, too: to leave, above all. `user` is who started it.
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
class HeartbeatReply:
    """What the database tells an agent about its node at each attach and renewal.

    Args:
        lease: seconds for which the keepers' attempts are theirs from the moment of the renewal's commit.
        enabled: slots by queue; both 0 while the node is drained.
        leave: the pilot is asked to take nothing new and go when its jobs have ended.
        leave_now: the same, and its jobs are to be ended.
        end: attempts that a user wants ended, each with the reason.
        recall: attempts of held tasks that have not started, as far as the database knows: those go back.
        superseded: another agent decides for this node now; this one stops at once (its jobs run on).
        fenced: keepers that get nothing more; what they run and is not theirs any more is to be ended.
        identity: which database this is; at an attach.
        generation: how often conductors have renewed their terms; at a renewal.
    """

    node_id: int
    lease: float
    enabled: Mapping[Queue, int]
    leave: bool = False
    leave_now: bool = False
    end: tuple[tuple[AttemptKey, str], ...] = ()
    recall: tuple[AttemptKey, ...] = ()
    superseded: bool = False
    fenced: frozenset[UUID] = frozenset()
    identity: DatabaseIdentity | None = None
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What comparing the attempts that a keeper holds with the database gave.

    `end` are attempts that the database does not grant to it (any more): they are to be ended, their outcome is still
    reported. `released` counts attempts that the database thought it held and the keeper does not.

    A database that was replaced by an older one has never heard of some attempts. `adopted` are those that are their
    jobs' latest ones from now on (their starts are to be told again), `unknown` those that are not: they run on, and
    only a person knows what is right.
    """

    end: tuple[AttemptKey, ...] = ()
    released: int = 0
    adopted: tuple[AttemptKey, ...] = ()
    unknown: tuple[AttemptKey, ...] = ()
