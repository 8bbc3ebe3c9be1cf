"""Fencing: a keeper that is considered dead is fenced first, then its jobs are requeued, a chunk a transaction.

A fenced keeper gets no new job and no lease; what it still reports counts as long as its attempts are their jobs'
latest ones. If the process that fences it dies in between, the conductor requeues the rest.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.services.jobs import outcomes
from orchestra.store.driver.database import in_transaction
from orchestra.store.work import attempts, pilots

CHUNK = 500
"""Attempts that are requeued in one transaction."""


def fence(
    conn: psycopg.Connection,
    keeper: UUID,
    reason: str,
    *,
    who: str,
    renewed_at: datetime | None = None,
) -> bool:
    """Fence a keeper, in the caller's transaction; return False if it is fenced already.

    Args:
        reason: for people, and for the events of its jobs.
        who: the user or process, for the event.
        renewed_at: fence only if the lease has not been renewed since.
    """
    fenced = pilots.fence(conn, keeper, reason, renewed_at)
    if fenced:
        note(conn, [keeper], reason, who=who)
    return fenced


def note(conn: psycopg.Connection, keepers: list[UUID], reason: str, *, who: str) -> None:
    """Record the events of keepers that were fenced."""
    for keeper in keepers:
        pilots.add_fence_event(conn, keeper, who=who, why=reason)


def requeue(conn: psycopg.Connection, keeper: UUID, *, who: str) -> int:
    """Requeue the jobs of all attempts that a fenced keeper holds; return how many. May be repeated."""
    requeued = 0
    while count := in_transaction(conn, lambda: requeue_chunk(conn, keeper, who=who)):
        requeued += count
    return requeued


def requeue_chunk(conn: psycopg.Connection, keeper_id: UUID, *, who: str) -> int:
    """Requeue a chunk of the attempts that a fenced keeper holds, in the caller's transaction; return how many.

    They are lost, which costs no retry. An attempt whose start was not reported may have run all the same, so its
    outcome still counts if it arrives; but it is not counted as a sign that the job kills its nodes.
    """
    keeper = attempts.lock_keeper(conn, keeper_id)
    if not keeper.fenced:
        return 0
    found = attempts.open_attempts(conn, keeper, CHUNK)
    reason = keeper.fence_reason
    lost = [
        Outcome(held.key, Cause.LOST if held.started else Cause.UNHEARD, reason=reason)
        for held in found
    ]
    outcomes.record(conn, keeper, lost, who=who)
    return len(lost)
