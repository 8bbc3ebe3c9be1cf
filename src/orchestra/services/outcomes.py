"""How attempts ended, taken in: attempt, job, counts and events, in the transaction of whoever calls.

The one way by which the end of an attempt changes its job, whether its pilot reports it or somebody gives it up.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from orchestra.domain import human
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import JobInput, Refusal, step_job
from orchestra.domain.verdicts import POISONOUS_LOSSES, JobFacts, Verdict, judge, retry_delay
from orchestra.store import attempts, metrics, moves


@dataclass(frozen=True, slots=True)
class Recorded:
    """What came of a batch: why tasks are to be held, and outcomes of attempts that the database does not know."""

    holds: frozenset[tuple[int, str]] = frozenset()
    unknown: tuple[AttemptKey, ...] = ()


Change = tuple[AttemptKey, JobState, JobState, str | None]


def record(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    outcomes: Sequence[Outcome],
    *,
    who: str | None = None,
) -> Recorded:
    """Write down how attempts ended. The keeper's row is locked; `who` gives them up, if it is not their pilot."""
    tasks = attempts.share_tasks(conn, {outcome.key.task_id for outcome in outcomes})
    by_key = {outcome.key: outcome for outcome in outcomes}
    locked = attempts.lock_attempts(conn, keeper.id, by_key)
    found = [f for f in locked if not f.ended and f.key.task_id in tasks]
    endings = [
        ending
        for f in found
        if (ending := _ending(conn, keeper, by_key[f.key], f, tasks[f.key.task_id]))
    ]
    attempts.end_jobs(conn, [ending.job for ending in endings])
    ends = by_key | {e.job.key: e.outcome for e in endings}
    accepted = {ending.job.key for ending in endings}
    attempts.end_attempts(conn, [ends[f.key] for f in found], accepted)
    metrics.keep(conn, [ends[f.key] for f in found])
    changes = [
        (e.job.key, e.before, e.job.state, e.outcome.reason)
        for e in endings
        if e.job.state is not e.before
    ]
    note(conn, keeper, changes, who=who)
    _tell_of_work(conn, tasks, endings)
    strangers = set(by_key) - {f.key for f in locked}
    return Recorded(
        frozenset((e.job.key.task_id, e.hold) for e in endings if e.hold),
        tuple(sorted(attempts.never_heard_of(conn, strangers))),
    )


def _tell_of_work(
    conn: psycopg.Connection,
    tasks: Mapping[int, attempts.SharedTask],
    endings: Sequence[_Ending],
) -> None:
    """Wake the pilots where jobs went back and can be claimed at once: those that found nothing ask no more."""
    freed = [
        e.job.key.task_id for e in endings if e.job.state is JobState.ASSIGNED and not e.job.delay
    ]
    if queues := {tasks[task].queue for task in freed}:
        moves.wake_workers(conn, *queues)


def note(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    changes: Sequence[Change],
    *,
    who: str | None = None,
) -> None:
    """Write the events of what an attempt did to its job: (attempt, from, to, why)."""
    rows = [
        (key.task_id, key.ordinal, key.number, before.value, after.value, why)
        for key, before, after, why in changes
    ]
    moves.add_job_events(conn, rows, who=who or f"pilot {keeper.node}", node=keeper.node_id)


@dataclass(frozen=True, slots=True)
class _Ending:
    """An accepted outcome: what the job was, what it becomes, and why its task is held, if it is."""

    outcome: Outcome
    job: attempts.JobEnd
    before: JobState
    hold: str | None


def _ending(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    outcome: Outcome,
    found: attempts.LockedAttempt,
    task: attempts.SharedTask,
) -> _Ending | None:
    """Give what an outcome does to its job, or None when it is only recorded."""
    if found.latest != found.key.number:
        return None
    verdict = judge(outcome, _facts(found, task))
    after = _walk(found.state, outcome, verdict)
    if after is None:
        return None
    if verdict.given is JobInput.POISON:
        outcome = replace(outcome, reason=_poisonous(conn, keeper, found.key))
    in_test = found.is_test and task.state is TaskState.TESTING
    delay = None
    if verdict.given is JobInput.FAIL:
        delay = retry_delay(found.failures + 1, random.random())  # noqa: S311 - spreads, hides nothing
    job = attempts.JobEnd(found.key, after, in_test, verdict.failed, verdict.lost, delay)
    return _Ending(outcome, job, found.state, verdict.hold)


def _facts(found: attempts.LockedAttempt, task: attempts.SharedTask) -> JobFacts:
    return JobFacts(
        state=found.state,
        task_state=task.state,
        is_test=found.is_test,
        kill_requested=found.kill_requested,
        failures=found.failures,
        losses=found.losses,
        retries=task.retries,
        given_up=found.lost,
    )


def _walk(state: JobState, outcome: Outcome, verdict: Verdict) -> JobState | None:
    """Walk the table: a job whose start was not reported yet passes through `running`."""
    if verdict.given is None:
        return None
    unreported_start = state is JobState.ASSIGNED and outcome.started
    if unreported_start and verdict.given is not JobInput.GIVE_BACK:
        state = JobState.RUNNING
    after = step_job(state, verdict.given)
    return None if isinstance(after, Refusal) else after


def _poisonous(conn: psycopg.Connection, keeper: attempts.LockedKeeper, key: AttemptKey) -> str:
    earlier = attempts.nodes_of_losses(conn, key, POISONOUS_LOSSES - 1)
    nodes = list(dict.fromkeys([*reversed(earlier), keeper.node]))
    where = human.listed(nodes, most=POISONOUS_LOSSES)
    return (
        f"poisonous: lost {POISONOUS_LOSSES} times in a row, on {where}; it may be what ends them"
    )
