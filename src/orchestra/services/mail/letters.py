"""Writing letters into the outbox, each in the transaction of what it tells: rolled back with it, never without it."""

from __future__ import annotations

import psycopg

from orchestra.domain import letters
from orchestra.domain.human import duration, one_line
from orchestra.domain.letters import HELD, Failure, OfflineLetter, PilotLetter, TaskLetter
from orchestra.domain.models.failures import FailureGroup
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import last_lines
from orchestra.domain.states import HoldCause, JobStatus, TaskState
from orchestra.store.mail import outbox
from orchestra.store.tasks import facts
from orchestra.store.tasks import tasks as task_store

KINDS_SHOWN = 5
"""Kinds of failures that a mail shows, the most frequent first."""
TAIL_LINES = 8
ORCHESTRA = "orchestra"


def task_ended(
    conn: psycopg.Connection, task: int, state: TaskState, *, by: str, why: str | None
) -> None:
    """Tell the owner of a locked task that it has ended. May be called before its jobs have followed."""
    found = task_store.by_id(conn, task)
    if found is None:
        return
    counts = {status.value: found.counts[status] for status in JobStatus if found.counts[status]}
    if state in (TaskState.BROKEN, TaskState.KILLED):
        counts = _all_but_done(found, state)
    if state is TaskState.KILLED:
        by, why = outbox.killer(conn, task) or (by, why)
    _write(conn, found, state.value, counts, by=by, why=why)


def task_held(conn: psycopg.Connection, task: int, *, by: str, why: str, cause: HoldCause) -> None:
    """Tell the owner of a locked task that Orchestra holds it; what people hold by hand they know."""
    found = None if cause is HoldCause.PERSON else task_store.by_id(conn, task)
    if found is None:
        return
    counts = {status.value: found.counts[status] for status in JobStatus if found.counts[status]}
    _write(conn, found, HELD, counts, by=by, why=why)


def _all_but_done(task: Task, state: TaskState) -> dict[str, int]:
    """What is not done becomes broken or killed with its task, in portions that may be under way."""
    done = task.counts.done
    counts = {"done": done, state.value.lower(): task.jobs - done}
    return {status: count for status, count in counts.items() if count}


def _write(
    conn: psycopg.Connection,
    task: Task,
    outcome: str,
    counts: dict[str, int],
    *,
    by: str,
    why: str | None,
) -> None:
    kinds = facts.failures(conn, task.id) if outcome != TaskState.DONE else []
    began = task.test_started_at or task.work_started_at
    ended = task_store.now(conn)
    doubts = facts.doubts(conn, task.id)
    letter = TaskLetter(
        task=task.id,
        name=task.name,
        outcome=outcome,
        jobs=task.jobs,
        folder=task.folder,
        by=by,
        counts=counts,
        seconds=(ended - began).total_seconds() if began and outcome != HELD else None,
        why=_clean(why),
        failures=tuple(_failure(task.id, kind) for kind in kinds[:KINDS_SHOWN]),
        kinds=len(kinds),
        doubts=doubts.counted if doubts else None,
        doubt=_clean(doubts.note),
    )
    outbox.add_for_owner(conn, task.id, TaskLetter.KIND, letters.to_payload(letter))


def _failure(task: int, group: FailureGroup) -> Failure:
    example = group.example
    return Failure(
        what=example.what,
        jobs=group.jobs,
        job=f"{task}/{example.index}",
        config=_clean(group.config) or "",
        node=example.node,
        reason=_clean(example.reason) if example.reason != example.what else None,
        tail=last_lines(example.log_tail, TAIL_LINES),
        has_log=example.has_log,
    )


def _clean(text: str | None) -> str | None:
    """JSON in PostgreSQL holds no NUL."""
    return one_line(text, 500) if text else None


# Nodes


def node_silent(conn: psycopg.Connection, pilot: outbox.SilentPilot) -> None:
    """Tell the owners of the jobs that a silent node holds, and the admins."""
    held = outbox.at_stake(conn, pilot.node_id)
    until = f"{pilot.lease_until:%d %b %H:%M} UTC" if pilot.lease_until else None
    for owner in dict.fromkeys(owner for owner, _ in held):
        theirs = tuple(stake for who, stake in held if who == owner)
        letter = OfflineLetter(pilot.node, pilot.silent_for, theirs, until)
        outbox.add_for_person(conn, owner, OfflineLetter.KIND, letters.to_payload(letter))
    what = (
        f"The pilot of node {pilot.node} has not been heard of for {duration(pilot.silent_for)}, and it did not say "
        "goodbye: the machine is off or cut off, or the pilot died"
    )
    told = PilotLetter(pilot.node, what, sum(stake.jobs for _, stake in held), silent=True)
    outbox.add_for_admins(conn, PilotLetter.KIND, letters.to_payload(told))


def pilot_died(conn: psycopg.Connection, node: str, jobs: int, reason: str) -> None:
    """Tell the admins that what ran on a node has died with so many jobs."""
    letter = PilotLetter(node, f"What ran on node {node} has died: {_clean(reason)}", jobs)
    outbox.add_for_admins(conn, PilotLetter.KIND, letters.to_payload(letter))
