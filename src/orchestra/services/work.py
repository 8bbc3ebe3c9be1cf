"""The pilot's only door to the database: attach, claim, started, renew, report, reconcile, detach.

Every function is one transaction. Every word about an attempt names job, attempt and token, and each function says
what is fenced and what may be repeated. Locks are taken in the order keeper, task (shared), jobs by (task, ordinal),
counts; so a mass move, which holds its task alone, never meets half a claim or half a report.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import psycopg

from orchestra.domain.errors import Fenced, NotFound, Refused, SchemaMismatch, Superseded
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
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import JobInput, Refusal, TaskInput, step_job
from orchestra.domain.verdicts import JobFacts, Verdict, judge
from orchestra.services import lifecycle
from orchestra.store import attempts, moves, pilots
from orchestra.store.database import in_transaction

PROTOCOL = 1
LEASE_SECONDS = 12 * 3600.0


def attach(
    conn: psycopg.Connection, hello: PilotHello, *, lease: float = LEASE_SECONDS
) -> Standing:
    """Make this agent the one that decides for its node.

    An agent on the same machine is taken over (it learns by `superseded` at its next renewal); an agent of another
    machine under the same node name is refused while it is alive. May be repeated.

    Raises:
        NotFound: there is no node of that name.
        Refused: another machine's pilot serves this node.
        SchemaMismatch: this pilot's protocol is too old for the database.
    """

    def work() -> Standing:
        _check_protocol(conn, hello)
        node = pilots.lock_node(conn, hello.node)
        if node is None:
            raise NotFound(
                f'there is no node "{hello.node}".', hint="maestro node create -n NAME ..."
            )
        serving = pilots.serving_pilot(conn, node.id)
        if serving and serving.alive and serving.machine_id != hello.machine_id:
            raise Refused(
                f'node "{hello.node}" is served by a pilot on {serving.host}.',
                hint="Give this machine a node of its own, or stop that pilot first.",
            )
        pilots.attach(conn, node.id, hello)
        return Standing(node.id, lease, node.enabled)

    return in_transaction(conn, work)


def _check_protocol(conn: psycopg.Connection, hello: PilotHello) -> None:
    protocol, oldest = pilots.protocols(conn)
    if hello.protocol < oldest:
        raise SchemaMismatch(
            f"this pilot speaks protocol {hello.protocol}, the database wants {oldest} to {protocol}.",
            hint="Upgrade orchestra-hpc on this node. Running jobs are not affected.",
        )


def register_keeper(
    conn: psycopg.Connection, node_id: int, keeper: KeeperHello, *, lease: float = LEASE_SECONDS
) -> None:
    """Make a keeper known, so that attempts can be granted to it. May be repeated.

    Raises:
        Fenced: it has been fenced; start another one.
    """
    if not in_transaction(conn, lambda: pilots.register_keeper(conn, node_id, keeper, lease)):
        raise Fenced(f"keeper {keeper.id} has been fenced")


def claim(
    conn: psycopg.Connection,
    agent: UUID,
    keeper_id: UUID,
    request: int,
    free: Mapping[Queue, int],
    known: Collection[int] = (),
) -> Claim:
    """Take up to `free[queue]` jobs of each queue for a keeper, best task first.

    Repeatable: `request` counts up; a request that was answered before gets the same answer again (less what has ended
    since), so that an answer lost on the way loses no job. `known` names tasks whose TaskSpec (which never changes)
    the agent has already.

    Raises:
        Fenced: the keeper's lease was given away.
        Superseded: another agent decides for the node.
    """

    def work() -> Claim:
        keeper = attempts.lock_keeper(conn, keeper_id)
        pilot = attempts.claiming_pilot(conn, keeper.node_id)
        if keeper.fenced:
            raise Fenced(f"keeper {keeper_id} has been fenced")
        if pilot is None or pilot.agent != agent:
            raise Superseded("another agent decides for this node now")
        if request > keeper.last_request and not pilot.drained:
            _take(conn, keeper, pilot, request, free)
        grants = attempts.granted(conn, keeper, request)
        tasks = {grant.key.task_id for grant in grants} - set(known)
        return Claim(attempts.task_specs(conn, tasks), grants)

    return in_transaction(conn, work)


def _take(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    pilot: attempts.ClaimingPilot,
    request: int,
    free: Mapping[Queue, int],
) -> None:
    attempts.note_request(conn, keeper.id, request)
    for queue, wanted in free.items():
        left = wanted
        for task in attempts.candidates(conn, queue, pilot) if left > 0 else ():
            left -= attempts.claim_jobs(conn, task, keeper, request, left)
            if left <= 0:
                break


def started(
    conn: psycopg.Connection, keeper_id: UUID, starts: Sequence[Started]
) -> tuple[AttemptKey, ...]:
    """Say which attempts have a process. Gives those that are no longer granted: end them. May be repeated."""

    def work() -> tuple[AttemptKey, ...]:
        keeper = attempts.lock_keeper(conn, keeper_id)
        keys = [start.key for start in starts]
        attempts.share_tasks(conn, {key.task_id for key in keys})
        locked = {found.key: found for found in attempts.lock_attempts(conn, keys)}
        known = [s for s in starts if s.key in locked and _holds(keeper_id, locked[s.key])]
        attempts.start(conn, known)
        fresh = [s.key for s in known if locked[s.key].state is JobState.ASSIGNED]
        _note(conn, keeper, [(key, JobState.ASSIGNED, JobState.RUNNING, None) for key in fresh])
        granted = {start.key for start in known}
        return tuple(
            key for key in keys if key not in granted and not (key in locked and locked[key].ended)
        )

    return in_transaction(conn, work)


def _holds(keeper_id: UUID, found: attempts.LockedAttempt) -> bool:
    return found.keeper_id == keeper_id and found.latest == found.key.number and not found.ended


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

    `message` is shown in `node list` (None clears it). A fenced keeper is not renewed.
    """

    def work() -> Standing:
        wishes = pilots.renew_pilot(conn, node_id, agent, message)
        if wishes is None:
            return Standing(node_id, lease, {Queue.CPU: 0, Queue.GPU: 0}, superseded=True)
        pilots.renew_keepers(conn, node_id, keepers, lease)
        end = tuple(attempts.attempts_to_end(conn, node_id))
        leave = wishes.leave or wishes.leave_now
        return Standing(node_id, lease, wishes.enabled, leave, wishes.leave_now, end)

    return in_transaction(conn, work)


def report(conn: psycopg.Connection, keeper_id: UUID, outcomes: Sequence[Outcome]) -> None:
    """Write down how attempts ended, in one transaction: attempt, job, counts, events.

    An outcome is accepted as long as its attempt is its job's latest one, also after it was declared lost and for a
    fenced keeper; else it is recorded with its attempt and changes no job. A wrong token changes nothing at all. May be
    repeated: an attempt that has ended already is left as it is. An outcome may come before or without its `started`.
    An outcome by which a task is held (a changed input, no folder) holds it in a second transaction.

    Raises:
        Fenced: the database knows no such keeper.
    """
    storable = [replace(outcome, reason=_storable(outcome.reason)) for outcome in outcomes]
    for task, reason in sorted(in_transaction(conn, lambda: _report(conn, keeper_id, storable))):
        _hold(conn, task, reason)


def _storable(text: str | None) -> str | None:
    """PostgreSQL's text holds no NUL and no lone surrogate; one of them would refuse the whole batch."""
    if text is None:
        return None
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode("utf-8")


def _report(
    conn: psycopg.Connection, keeper_id: UUID, outcomes: Sequence[Outcome]
) -> set[tuple[int, str]]:
    keeper = attempts.lock_keeper(conn, keeper_id)
    tasks = attempts.share_tasks(conn, {outcome.key.task_id for outcome in outcomes})
    by_key = {outcome.key: outcome for outcome in outcomes}
    found = [
        f for f in attempts.lock_attempts(conn, by_key) if not f.ended and f.key.task_id in tasks
    ]
    endings = [
        ending
        for attempt in found
        if (ending := _ending(by_key[attempt.key], attempt, tasks[attempt.key.task_id]))
    ]
    attempts.end_jobs(conn, [ending.job for ending in endings])
    accepted = {ending.job.key for ending in endings}
    attempts.end_attempts(conn, [by_key[f.key] for f in found], accepted)
    _note(
        conn,
        keeper,
        [
            (e.job.key, e.before, e.job.state, e.reason)
            for e in endings
            if e.job.state is not e.before
        ],
    )
    sequences = [o.sequence for o in outcomes if o.sequence is not None]
    if sequences:
        attempts.note_sequence(conn, keeper_id, max(sequences))
    return {(e.job.key.task_id, e.hold) for e in endings if e.hold}


@dataclass(frozen=True, slots=True)
class _Ending:
    """An accepted outcome: what the job was, what it becomes, and why its task is held, if it is."""

    job: attempts.JobEnd
    before: JobState
    reason: str | None
    hold: str | None


def _ending(
    outcome: Outcome, found: attempts.LockedAttempt, task: attempts.SharedTask
) -> _Ending | None:
    """Give what an outcome does to its job, or None when it is only recorded."""
    if found.latest != found.key.number:
        return None
    facts = JobFacts(
        state=found.state,
        task_state=task.state,
        is_test=found.is_test,
        kill_requested=found.kill_requested,
        failures=found.failures,
        losses=found.losses,
        retries=task.retries,
    )
    verdict = judge(outcome, facts)
    if verdict.lost and found.lost:
        return None
    before, after = _walk(found.state, outcome, verdict)
    if isinstance(after, Refusal):
        return None
    in_test = found.is_test and task.state is TaskState.TESTING
    job = attempts.JobEnd(found.key, after, in_test, verdict.failed, verdict.lost)
    return _Ending(job, before, outcome.reason, verdict.hold)


def _walk(
    state: JobState, outcome: Outcome, verdict: Verdict
) -> tuple[JobState, JobState | Refusal]:
    """Walk the table: a job whose start was not reported yet passes through `running`."""
    unreported_start = state is JobState.ASSIGNED and outcome.started
    if unreported_start and verdict.given is not JobInput.GIVE_BACK:
        after = step_job(JobState.RUNNING, verdict.given)
    else:
        after = step_job(state, verdict.given)
    return state, after


def _note(
    conn: psycopg.Connection,
    keeper: attempts.LockedKeeper,
    changes: Sequence[tuple[AttemptKey, JobState, JobState, str | None]],
) -> None:
    rows = [
        (key.task_id, key.ordinal, key.number, before.value, after.value, why)
        for key, before, after, why in changes
    ]
    moves.add_job_events(conn, rows, who=f"pilot {keeper.node}", node=keeper.node_id)


def _hold(conn: psycopg.Connection, task: int, reason: str) -> None:
    try:
        lifecycle.apply(conn, task, TaskInput.HOLD, by="orchestra", why=reason)
    except (NotFound, Refused):
        return  # it has ended in the meantime: there is nothing to hold


def reconcile(
    conn: psycopg.Connection, keeper_id: UUID, request: int, held: Collection[AttemptKey]
) -> Reconciliation:
    """Compare what a keeper holds (claimed, running, or with an unreported outcome) with what was granted to it.

    Grants up to claim `request` that it does not hold go back to their jobs, as lost if they had started, else at no
    cost; what it holds and the database does not grant is to be ended. May be repeated.

    Raises:
        Fenced: the database knows no such keeper.
    """

    def work() -> Reconciliation:
        keeper = attempts.lock_keeper(conn, keeper_id)
        granted = {found.key: found for found in attempts.open_attempts(conn, keeper)}
        missing = [
            _vanished(found)
            for key, found in granted.items()
            if key not in held and found.request <= request
        ]
        if missing:
            _report(conn, keeper_id, missing)
        return Reconciliation(tuple(sorted(set(held) - set(granted))), len(missing))

    return in_transaction(conn, work)


def _vanished(found: attempts.OpenAttempt) -> Outcome:
    returned = Outcome(found.key, Cause.RETURNED, reason="its pilot no longer knows of it")
    if not found.started:
        return returned
    return replace(returned, cause=Cause.LOST, reason="its keeper no longer runs it")


def detach(conn: psycopg.Connection, node_id: int, agent: UUID, keepers: Sequence[UUID]) -> None:
    """Say goodbye: the node is shown as offline at once, and keepers that hold nothing are forgotten."""
    in_transaction(conn, lambda: pilots.detach(conn, node_id, agent, keepers))
