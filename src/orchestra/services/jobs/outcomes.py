"""Records how attempts ended: attempt, job, counts and events, in the caller's transaction.

This is the only code by which the end of an attempt changes its job, whether its pilot reported it or it was lost.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import psycopg

from orchestra.domain import human
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.retry_policy import (
    POISONOUS_LOSSES,
    JobFacts,
    OutcomeDecision,
    decide_outcome,
    retry_delay,
)
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.domain.transitions import JobInput, Refusal, next_job_state
from orchestra.services.tasks import running_limit
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.jobs import metrics
from orchestra.store.tasks import locks
from orchestra.store.work import attempts, reports


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of a batch: tasks to hold, with the reason, and attempts that the database does not know.

    `limited` are the tasks with max_running, or whose owner has limits, and their queues: other jobs may start now.
    """

    holds: frozenset[tuple[int, str]] = frozenset()
    unknown: tuple[AttemptKey, ...] = ()
    limited: Mapping[int, Queue] = field(default_factory=dict)


Change = tuple[AttemptKey, JobState, JobState, str | None]


def record(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    outcomes: Sequence[Outcome],
    *,
    who: str | None = None,
) -> Recorded:
    """Record how attempts ended. The keeper's row is locked. `who` declares them lost, if it is not their pilot."""
    locks.share(conn, {outcome.key.task_id for outcome in outcomes})
    by_key = {outcome.key: outcome for outcome in outcomes}
    locked = reports.lock_attempts(conn, keeper.id, by_key)
    unmatched = set(by_key) - {f.key for f in locked}
    unknown = attempts.forgotten(conn, unmatched)
    known = [o.sequence for o in outcomes if o.sequence is not None and o.key not in unknown]
    endings = [_ending(conn, keeper, by_key[f.key], f) for f in locked if not f.ended]
    who = who or _name(keeper)
    reports.record_ends(
        conn,
        keeper,
        [(ending.outcome, ending.job) for ending in endings],
        who=who,
        sequence=max(known, default=None),
        late={found.key for found in locked if found.lost},
    )
    metrics.keep(conn, [ending.outcome for ending in endings])
    limited = {found.key.task_id: found.queue for found in locked if found.limited}
    if limited:
        running_limit.release_successors(conn, _left(endings, limited), by=who)
    _wake_pilots(conn, endings)
    return Recorded(
        frozenset((e.outcome.key.task_id, e.hold) for e in endings if e.hold),
        tuple(sorted(unknown)),
        {f.key.task_id: f.queue for f in locked if f.limited or f.owner_limited},
    )


def _left(endings: Sequence[_Ending], limited: Collection[int]) -> Counter[int]:
    """Count the jobs that have left their places, by task.

    Requeued jobs and successors lower claim cursors, whose locks are asked for in order of the tasks. So in a batch
    that requeues jobs, the places of earlier tasks are left to the conductor.
    """
    jobs = [(e.outcome.key.task_id, e.job) for e in endings if e.job]
    requeued = [task for task, job in jobs if job.state is JobState.ASSIGNED and not job.delay]
    first = max(requeued, default=0)
    return Counter(task for task, job in jobs if job.leaves and task in limited and task >= first)


def _wake_pilots(conn: psycopg.Connection, endings: Sequence[_Ending]) -> None:
    """Wake the pilots if jobs were requeued and can be claimed at once; pilots that found no job do not poll."""
    freed = (e.job and e.job.state is JobState.ASSIGNED and not e.job.delay for e in endings)
    if queues := {e.queue for e, is_free in zip(endings, freed, strict=True) if is_free}:
        channels.notify_workers(conn, *queues)


def note(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    changes: Sequence[Change],
) -> None:
    """Record jobs' events: (attempt, from, to, why)."""
    rows = [
        (key.task_id, key.index, key.number, before.value, after.value, why)
        for key, before, after, why in changes
    ]
    events.add_job_events(conn, rows, who=_name(keeper), node=keeper.node_id)


def _name(keeper: attempts.LockedKeeper) -> str:
    return f"pilot {keeper.node}"


@dataclass(frozen=True, slots=True)
class _Ending:
    """An outcome, its job's new state (None: it is only recorded), and why its task is to be held, if it is."""

    outcome: Outcome
    queue: Queue
    job: reports.JobEnd | None = None
    hold: str | None = None


def _ending(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    outcome: Outcome,
    found: reports.LockedAttempt,
) -> _Ending:
    """Decide what an outcome does to its job."""
    if found.latest != found.key.number:
        return _Ending(outcome, found.queue)
    decision = decide_outcome(outcome, _facts(found))
    after = _walk(found.state, outcome, decision)
    if after is None:
        return _Ending(outcome, found.queue)
    if decision.given is JobInput.POISON:
        outcome = replace(outcome, reason=_poisonous(conn, keeper, found.key))
    in_test = found.is_test and found.task_state is TaskState.TESTING
    delay = None
    if decision.given is JobInput.FAIL:
        delay = retry_delay(found.failures + 1, random.random())  # noqa: S311 - spreads retries, needs no secrecy
    job = reports.JobEnd(found.state, after, in_test, decision.failed, decision.lost, delay)
    # A task that was changed meanwhile may well be in order now.
    hold = None if found.is_outdated else decision.hold
    return _Ending(outcome, found.queue, job, hold)


def _facts(found: reports.LockedAttempt) -> JobFacts:
    return JobFacts(
        state=found.state,
        task_state=found.task_state,
        is_test=found.is_test,
        kill_requested=found.kill_requested,
        failures=found.failures,
        losses=found.losses,
        retries=found.retries,
        given_up=found.lost,
    )


def _walk(state: JobState, outcome: Outcome, decision: OutcomeDecision) -> JobState | None:
    """Look up the job's next state; a job whose start was not reported yet passes through `running`."""
    if decision.given is None:
        return None
    unreported_start = state is JobState.ASSIGNED and outcome.started
    if unreported_start and decision.given is not JobInput.REQUEUE:
        state = JobState.RUNNING
    after = next_job_state(state, decision.given)
    return None if isinstance(after, Refusal) else after


def _poisonous(conn: psycopg.Connection, keeper: attempts.LockedKeeper, key: AttemptKey) -> str:
    earlier = attempts.nodes_of_losses(conn, key, POISONOUS_LOSSES - 1)
    nodes = list(dict.fromkeys([*reversed(earlier), keeper.node]))
    where = human.listed(nodes, most=POISONOUS_LOSSES)
    return f"poisonous: lost {POISONOUS_LOSSES} times in a row, on {where}; it may be killing them"
