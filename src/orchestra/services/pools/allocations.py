"""What a pool's process records about its allocations; each is part of the caller's transaction, which checks its term.

The row of an allocation is committed before the engine is asked for it, and what the engine answers is recorded after
that. So a process that is killed in between leaves a row without an answer, which its successor looks up by its name.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID, uuid4

import psycopg

from orchestra.domain.human import one_line
from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    Deletion,
    Pool,
    Refusal,
)
from orchestra.domain.pools import back_off as back_offs
from orchestra.domain.pools import life
from orchestra.domain.pools.life import Answers
from orchestra.services.nodes import fencing
from orchestra.store.pools import allocations as store
from orchestra.store.pools import pools

LONGEST = 500
"""Characters of a reason."""
LEFT_WITHOUT_JOB = "A pilot has left without having run a job, although jobs waited."


def new_id() -> UUID:
    """Return the id of a new allocation."""
    return uuid4()


def reserve(conn: psycopg.Connection, pool: Pool, allocation: UUID) -> None:
    """Record that an allocation is about to be submitted."""
    store.insert(conn, pool.id, allocation, pool.spec.nodes)


def accepted(conn: psycopg.Connection, pool: Pool, allocation: UUID, engine_id: str) -> bool:
    """Record the engine's id of a submission; False if it was given up meanwhile."""
    store.set_back_off(conn, pool.id, back_offs.accepted(pool.back_off))
    return store.accept(conn, allocation, engine_id)


def refused(
    conn: psycopg.Connection, pool: Pool, allocation: UUID, refusal: Refusal, now: datetime
) -> None:
    """Record that the engine refused a submission; a fatal refusal pauses the pool."""
    store.end(conn, allocation, AllocationState.SUBMITTING, refusal.words)
    back_off = back_offs.refused(pool.back_off, now, refusal.words)
    store.set_back_off(conn, pool.id, back_off)
    if refusal.is_fatal:
        pause(conn, pool, refusal.words)


def unanswered(conn: psycopg.Connection, pool: Pool, words: str, now: datetime) -> None:
    """Record that the engine has not answered a submission."""
    store.set_back_off(conn, pool.id, back_offs.refused(pool.back_off, now, words))


def pause(conn: psycopg.Connection, pool: Pool, words: str) -> None:
    """Pause a pool for which the engine will start nothing, whatever time passes."""
    if pool.paused_at is None:
        pools.pause(conn, pool.id, pool.engine, words)


def give_up(conn: psycopg.Connection, pool: Pool, allocation: Allocation, words: str) -> None:
    """Record that an allocation will never start, and is to be cancelled; the pool is paused."""
    store.cancel(conn, [allocation.id])
    pause(conn, pool, words)


def settle_back_off(conn: psycopg.Connection, pool: Pool) -> None:
    """Note that early ends are over, if the latest allocation had a job."""
    if pool.back_off.early_ends and store.last_ran_a_job(conn, pool.id):
        store.set_back_off(conn, pool.id, back_offs.first_job(pool.back_off))


def keep(conn: psycopg.Connection, pool: Pool, old: Allocation, new: Allocation) -> None:
    """Record what has become of an allocation that has not ended."""
    store.keep(conn, new, old.state)
    if old.engine_id is None and new.engine_id:  # it was not answered, and has been found
        store.set_back_off(conn, pool.id, back_offs.accepted(pool.back_off))


def end(
    conn: psycopg.Connection,
    pool: Pool,
    allocation: Allocation,
    answers: Answers,
    now: datetime,
    *,
    kills_all: bool,
    has_work: bool,
    last_words: str,
    who: str,
) -> list[UUID]:
    """Record that an allocation has ended, if it has; return the keepers whose jobs are to be requeued.

    Its pilots are read again, locked: one that has just come back has not ended.

    Args:
        has_work: jobs are ready that the pool could run.
        last_words: what a pilot printed that never attached.
    """
    pilots = store.lock_pilots(conn, allocation.id)
    how = life.end_of(allocation, answers, pilots, now, kills_all=kills_all)
    why = one_line(f"{how.why}: {last_words}" if last_words else how.why, LONGEST) if how else ""
    if how is None or not store.end(conn, allocation.id, allocation.state, why):
        return []
    fenced = store.keepers(conn, allocation.id) if pilots.there else []
    for keeper in fenced:
        fencing.fence(conn, keeper, why, who=who)
    store.close_nodes(conn, allocation.id)
    if how.by_itself and back_offs.is_early(allocation, has_work=has_work):
        store.set_back_off(conn, pool.id, back_offs.early_end(pool.back_off, now, why))
    return fenced


def left_early(conn: psycopg.Connection, pool: Pool, now: datetime) -> None:
    """Record that the pilots of an allocation have left without a job although jobs waited."""
    store.set_back_off(conn, pool.id, back_offs.early_end(pool.back_off, now, LEFT_WITHOUT_JOB))


def withdraw(conn: psycopg.Connection, ids: Iterable[UUID]) -> int:
    """Record that allocations are to be ended if they have not started; return how many are new to that."""
    return store.cancel(conn, list(ids))


def end_all(conn: psycopg.Connection, pool: Pool, how: Deletion) -> bool:
    """Record what a deletion asks of a pool's allocations; return whether there is one that has to be asked now."""
    live = [each.id for each in pool.live]
    return store.cancel(conn, live, running=how == "now") > 0


def delete(conn: psycopg.Connection, pool: Pool, who: str) -> None:
    """Delete a pool whose allocations have ended."""
    if store.lock_pool(conn, pool.id) and not pools.live_allocations(conn, [pool.id]):
        pools.delete(conn, pool.id, who)
