"""The pilot's only door to the database: attach, claim, started, renew, report, reconcile, detach.

Every function is one transaction. Every word about an attempt names job, attempt and token, and each function says
what is fenced and what may be repeated. Locks are taken in the order keeper, task (shared), jobs by (task, ordinal),
counts; so a mass move, which holds its task alone, never meets half a claim or half a report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

import psycopg

from orchestra.domain.models import (
    AttemptKey,
    Claim,
    KeeperHello,
    Outcome,
    PilotHello,
    Reconciliation,
    Standing,
    Started,
)
from orchestra.domain.states import Queue

PROTOCOL = 1
LEASE_SECONDS = 12 * 3600.0


def attach(conn: psycopg.Connection, hello: PilotHello, *, lease: float = LEASE_SECONDS) -> Standing:
    """Make this agent the one that decides for its node.

    An agent on the same machine is taken over (it learns by `superseded` at its next renewal); an agent of another machine
    under the same node name is refused while it is alive. May be repeated.

    Raises:
        NotFound: there is no node of that name.
        Refused: another machine's pilot serves this node.
        SchemaMismatch: this pilot's protocol is too old for the database.
    """
    raise NotImplementedError


def register_keeper(conn: psycopg.Connection, node_id: int, keeper: KeeperHello, *, lease: float = LEASE_SECONDS) -> None:
    """Make a keeper known, so that attempts can be granted to it. May be repeated.

    Raises:
        Fenced: it has been fenced; start another one.
    """
    raise NotImplementedError


def claim(
    conn: psycopg.Connection, agent: UUID, keeper_id: UUID, request: int, free: Mapping[Queue, int]
) -> Claim:
    """Take up to `free[queue]` jobs of each queue for a keeper, best task first.

    Repeatable: `request` counts up by one; a request that was answered before gets the same answer again (less what has
    ended since), so that an answer lost on the way loses no job.

    Raises:
        Fenced: the keeper's lease was given away.
        Superseded: another agent decides for the node.
    """
    raise NotImplementedError


def started(
    conn: psycopg.Connection, keeper_id: UUID, starts: Sequence[Started]
) -> tuple[AttemptKey, ...]:
    """Say which attempts have a process. Gives those that are no longer granted: end them. May be repeated."""
    raise NotImplementedError


def renew(
    conn: psycopg.Connection,
    node_id: int,
    agent: UUID,
    keepers: Sequence[UUID],
    *,
    lease: float = LEASE_SECONDS,
    message: str | None = None,
) -> Standing:
    """Renew the leases of an agent's keepers and learn what the node's users want. May be repeated.

    `message` is shown in `node list` (None clears it). A fenced keeper is not renewed: its attempts are in `end`.
    """
    raise NotImplementedError


def report(conn: psycopg.Connection, keeper_id: UUID, outcomes: Sequence[Outcome]) -> None:
    """Write down how attempts ended, in one transaction: attempt, job, counts, events.

    An outcome is accepted as long as its attempt is its job's latest one, also after it was declared lost and for a
    fenced keeper; else it is recorded with its attempt and changes no job. A wrong token changes nothing at all.
    May be repeated: an attempt that has ended already is left as it is. An outcome may come before or without its `started`.
    """
    raise NotImplementedError


def reconcile(
    conn: psycopg.Connection, keeper_id: UUID, request: int, held: Collection[AttemptKey]
) -> Reconciliation:
    """Compare what a keeper holds (running, or with an unreported outcome) with what the database granted to it.

    Grants up to claim `request` that it does not hold go back to their jobs as lost if they had started, else at no
    cost; what it holds and the database does not grant is to be ended.
    """
    raise NotImplementedError


def detach(conn: psycopg.Connection, node_id: int, agent: UUID, keepers: Sequence[UUID]) -> None:
    """Say goodbye: the node is shown as offline at once, and keepers that hold nothing are forgotten."""
    raise NotImplementedError
