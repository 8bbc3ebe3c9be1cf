"""A pilot reports what happens to attempts: started, ended, the end of a log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from orchestra.domain.errors import (
    NotFound,
    Refused,
)
from orchestra.domain.models.work import (
    AttemptKey,
    Outcome,
    Started,
)
from orchestra.domain.states import HoldCause, JobState
from orchestra.domain.storable import with_storable_texts
from orchestra.domain.transitions import TaskInput
from orchestra.services.jobs import outcomes
from orchestra.services.tasks import lifecycle
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, reports


def started(
    conn: psycopg.Connection, keeper_id: UUID, starts: Sequence[Started]
) -> tuple[AttemptKey, ...]:
    """Say which attempts have a process. Gives those that are no longer granted: end them. May be repeated."""

    def work() -> tuple[AttemptKey, ...]:
        keeper = attempts.lock_keeper(conn, keeper_id)
        keys = [start.key for start in starts]
        locks.share(conn, {key.task_id for key in keys})
        locked = {found.key: found for found in reports.lock_attempts(conn, keeper_id, keys)}
        known = [s for s in starts if s.key in locked and _holds(locked[s.key])]
        reports.record_starts(conn, [with_storable_texts(start) for start in known])
        fresh = [s.key for s in known if locked[s.key].state is JobState.ASSIGNED]
        changes = [(key, JobState.ASSIGNED, JobState.RUNNING, None) for key in fresh]
        outcomes.note(conn, keeper, changes)
        granted = {start.key for start in known}
        refused = {k for k in keys if k not in granted and not (k in locked and locked[k].ended)}
        # What an older edition of this database granted is for `reconcile` to look at.
        return tuple(sorted(refused - set(attempts.forgotten(conn, refused - set(locked)))))

    return in_transaction(conn, work)


def _holds(found: reports.LockedAttempt) -> bool:
    return found.is_of_keeper and found.latest == found.key.number and not found.ended


def report(
    conn: psycopg.Connection, keeper_id: UUID, ends: Sequence[Outcome]
) -> tuple[AttemptKey, ...]:
    """Write down how attempts ended, in one transaction: attempt, job, counts, events.

    An outcome is accepted as long as its attempt is its job's latest one, also after it was declared lost and for a
    fenced keeper; else it is recorded with its attempt and changes no job. A wrong token changes nothing at all. May be
    repeated: an attempt that has ended already is left as it is. An outcome may come before or without its `started`.
    An outcome by which a task is held (a changed input, no folder) holds it in a second transaction.

    Gives the attempts that the database has never heard of, because it was replaced by an older one: their outcomes
    are not written down, and must be kept.

    Raises:
        UnknownKeeper: the database knows no such keeper.
    """
    storable = [with_storable_texts(outcome) for outcome in ends]

    def work() -> outcomes.Recorded:
        return outcomes.record(conn, attempts.lock_keeper(conn, keeper_id), storable)

    recorded = in_transaction(conn, work)
    for task, reason in sorted(recorded.holds):
        _hold(conn, task, reason)
    return recorded.unknown


def show_log(conn: psycopg.Connection, key: AttemptKey, length: int, tail: bytes) -> None:
    """Keep the end of a running attempt's log of `length` bytes, for who cannot read the file. May be repeated."""
    in_transaction(conn, lambda: reports.update_log(conn, key, length, tail))


def _hold(conn: psycopg.Connection, task: int, reason: str) -> None:
    try:
        lifecycle.apply(
            conn, task, TaskInput.HOLD, by="orchestra", why=reason, cause=HoldCause.FILES
        )
    except (NotFound, Refused):
        return  # it has ended in the meantime: there is nothing to hold
