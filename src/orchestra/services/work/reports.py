"""A pilot reports what happens to attempts: started, ended, the end of a log."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import psycopg

from orchestra.domain.errors import (
    NotFound,
    Refused,
)
from orchestra.domain.models.logs import AskedPart, FoundPart
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
from orchestra.store.jobs import log_parts
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, reports


def started(
    conn: psycopg.Connection, keeper_id: UUID, starts: Sequence[Started]
) -> tuple[AttemptKey, ...]:
    """Record which attempts have a process; return those that are no longer granted, to be ended. May be repeated."""

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
        # Attempts that a replaced database granted are left to `reconcile`.
        return tuple(sorted(refused - set(attempts.forgotten(conn, refused - set(locked)))))

    return in_transaction(conn, work)


def _holds(found: reports.LockedAttempt) -> bool:
    return found.is_of_keeper and found.latest == found.key.number and not found.ended


def report(conn: psycopg.Connection, keeper_id: UUID, ends: Sequence[Outcome]) -> outcomes.Recorded:
    """Record how attempts ended, in one transaction: attempt, job, counts, events.

    An outcome is accepted as long as its attempt is its job's latest one, also after it was declared lost and for a
    fenced keeper; else it is recorded with its attempt and changes no job. A wrong token changes nothing at all. May be
    repeated: an attempt that has ended already is left as it is. An outcome may come before or without its `started`.
    If an outcome holds its task (a changed input, no folder), that is a second transaction. In a task with max_running,
    each job that leaves its place releases the next one.

    Returns also the attempts that the database does not know because it was replaced by an older one: their outcomes
    are not recorded, and must be kept.

    Raises:
        UnknownKeeper: the database does not know the keeper.
    """
    storable = [with_storable_texts(outcome) for outcome in ends]

    def work() -> outcomes.Recorded:
        return outcomes.record(conn, attempts.lock_keeper(conn, keeper_id), storable)

    recorded = in_transaction(conn, work)
    for task, reason in sorted(recorded.holds):
        _hold(conn, task, reason)
    return recorded


def show_log(conn: psycopg.Connection, key: AttemptKey, length: int, tail: bytes) -> None:
    """Store the end of a running attempt's log of `length` bytes, for users who cannot read it. May be repeated."""
    in_transaction(conn, lambda: reports.update_log(conn, key, length, tail))


def log_parts_asked(conn: psycopg.Connection, node: int, limit: int) -> list[AskedPart]:
    """Return the next parts of logs that the pilot of a node is to send."""
    return log_parts.asked(conn, node, limit)


def send_log_part(conn: psycopg.Connection, part: AskedPart, found: FoundPart | None) -> None:
    """Send a part of a log, or None if it cannot be read. May be repeated."""
    in_transaction(conn, lambda: log_parts.send(conn, part, found))


def _hold(conn: psycopg.Connection, task: int, reason: str) -> None:
    try:
        lifecycle.apply(
            conn, task, TaskInput.HOLD, by="orchestra", why=reason, cause=HoldCause.FILES
        )
    except (NotFound, Refused):
        return  # it has ended in the meantime
