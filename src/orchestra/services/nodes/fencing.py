"""Keepers that are taken for dead: fenced first, then what they held is given away, a chunk a transaction.

A fenced keeper gets no new job and no lease; what it still reports counts as long as its attempts are their jobs'
latest ones. Whoever fences may die before everything is given away: the conductor goes on with it.
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
"""Attempts that are given away in one transaction."""


def fence(
    conn: psycopg.Connection,
    keeper: UUID,
    reason: str,
    *,
    who: str,
    renewed_at: datetime | None = None,
) -> bool:
    """Fence a keeper, in the caller's transaction; False if it is fenced already.

    Args:
        reason: in words, for people and for the events of its jobs.
        who: does it, for the event.
        renewed_at: do it only if it has not been renewed since.
    """
    fenced = pilots.fence(conn, keeper, reason, renewed_at)
    if fenced:
        note(conn, [keeper], reason, who=who)
    return fenced


def note(conn: psycopg.Connection, keepers: list[UUID], reason: str, *, who: str) -> None:
    """Write the events of keepers that were fenced."""
    for keeper in keepers:
        pilots.add_fence_event(conn, keeper, who=who, why=reason)


def give_away(conn: psycopg.Connection, keeper: UUID, *, who: str) -> int:
    """Give away all that a fenced keeper holds; gives how many attempts that were. May be repeated."""
    given = 0
    while count := in_transaction(conn, lambda: give_away_chunk(conn, keeper, who=who)):
        given += count
    return given


def give_away_chunk(conn: psycopg.Connection, keeper_id: UUID, *, who: str) -> int:
    """Give away a chunk of what a fenced keeper holds, in the caller's transaction; gives how many attempts.

    They are lost at no cost. One that had not said that it had started may have run all the same, so its outcome still
    counts when it comes; but it is no sign that its job ends its nodes.
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
