"""Reports: recording that attempts have started or ended. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg

from orchestra.domain.models.work import AttemptKey, Outcome, Started
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.domain.usage import MEASURES, Usage
from orchestra.store.driver.columns import BigInts, Blobs, Bools, Column, Floats, Ints, Texts
from orchestra.store.driver.sql import load
from orchestra.store.work import attempts

SQL = load("work/reports")


@dataclass(frozen=True, slots=True)
class LockedAttempt:
    """A locked job with one of its attempts and the state of its task, which may have been changed since the claim.

    `limited`: the task has max_running; `owner_limited`: its owner has limits.
    """

    key: AttemptKey
    state: JobState
    task_state: TaskState
    queue: Queue
    latest: int
    is_test: bool
    kill_requested: bool
    failures: int
    losses: int
    is_of_keeper: bool
    ended: bool
    lost: bool
    retries: int
    is_outdated: bool
    limited: bool
    owner_limited: bool


@dataclass(frozen=True, slots=True)
class JobEnd:
    """The effect of an accepted outcome on its job; `delay` is the seconds before a retry."""

    was: JobState
    state: JobState
    is_test: bool
    failed: bool
    lost: bool
    delay: float | None = None

    @property
    def leaves(self) -> bool:
        """Whether the job leaves its place (`domain/running_limit.py`)."""
        had_place = self.was in (JobState.ASSIGNED, JobState.RUNNING)
        return had_place and (self.state is not JobState.ASSIGNED or self.delay is not None)


def lock_attempts(
    conn: psycopg.Connection, keeper: UUID, keys: Collection[AttemptKey]
) -> list[LockedAttempt]:
    """Lock the jobs of the keys, in order; a key with a wrong token finds nothing. Their tasks are shared."""
    given = list(keys)
    params = {**attempts.full_key_columns(given), "keeper": keeper}
    with conn.cursor() as cursor:  # plain rows, because this is the longest answer of a report
        rows = cursor.execute(SQL.lock_attempts, params).fetchall()
    return [
        LockedAttempt(given[place - 1], JobState(state), TaskState(of), Queue(queue), *facts)
        for place, state, of, queue, *facts in rows
    ]


def record_starts(conn: psycopg.Connection, starts: Sequence[Started]) -> None:
    """Record that attempts have started: their assigned jobs become running."""
    params = {
        **attempts.key_columns([record_starts.key for record_starts in starts]),
        "ages": Floats([record_starts.age for record_starts in starts]),
        "devices": Texts([record_starts.devices for record_starts in starts]),
        "image_digests": Texts([record_starts.image_digest for record_starts in starts]),
    }
    conn.execute(SQL.start_jobs, params)
    conn.execute(SQL.start_attempts, params)


def record_ends(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    ends: Sequence[tuple[Outcome, JobEnd | None]],
    *,
    who: str,
    sequence: int | None,
    late: Collection[AttemptKey] = (),
) -> None:
    """Record outcomes in their attempts and, if accepted, in their jobs, with events; count what the attempts took.

    Args:
        late: the attempts that were declared lost before.
        who: recorded in the events.
        sequence: the highest sequence number of the keeper's outcomes.
    """
    if not ends and sequence is None:
        return
    outcomes, jobs = [outcome for outcome, _ in ends], [job for _, job in ends]
    params = {
        **attempts.key_columns([outcome.key for outcome in outcomes]),
        "was": Texts([job and job.was for job in jobs]),
        "states": Texts([job and job.state for job in jobs]),
        "tests": Bools([job and job.is_test for job in jobs]),
        "failed": Bools([job and job.failed for job in jobs]),
        "given_up": Bools([job and job.lost for job in jobs]),
        "delays": Floats([job and job.delay for job in jobs]),
        "causes": Texts([o.cause for o in outcomes]),
        "final": Bools([o.is_final for o in outcomes]),
        "ages": Floats([o.age for o in outcomes]),
        "started": Bools([o.started for o in outcomes]),
        "sequences": BigInts([o.sequence for o in outcomes]),
        "exit_statuses": Ints([o.exit_status for o in outcomes]),
        "signals": Ints([o.signal for o in outcomes]),
        "reasons": Texts([o.reason for o in outcomes]),
        "seconds": Floats([o.seconds for o in outcomes]),
        **_usage_columns([o.usage for o in outcomes]),
        "devices": Texts([o.devices for o in outcomes]),
        "log_bytes": BigInts([o.log_bytes for o in outcomes]),
        "log_tails": Blobs([o.log_tail for o in outcomes]),
        "image_digests": Texts([o.image_digest for o in outcomes]),
        "inputs_notes": Texts([o.inputs_note for o in outcomes]),
        "late": Bools([o.key in late for o in outcomes]),
        "keeper": keeper.id,
        "node": keeper.node_id,
        "who": who,
        "sequence": sequence,
    }
    conn.execute(SQL.record_ends, params)


def _usage_columns(usages: Sequence[Usage]) -> dict[str, Column]:
    return {
        measure.name: (Floats if measure.kind is float else BigInts)(
            [getattr(usage, measure.name) for usage in usages]
        )
        for measure in MEASURES
    }


def update_log(conn: psycopg.Connection, key: AttemptKey, length: int, tail: bytes) -> None:
    params = {
        "task": key.task_id,
        "index": key.index,
        "number": key.number,
        "token": key.token,
        "length": length,
        "tail": tail,
    }
    conn.execute(SQL.update_log, params)
