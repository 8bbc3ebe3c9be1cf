"""Writes notifications to the outbox, each in the transaction of the event that it reports."""

from __future__ import annotations

import psycopg

from orchestra.domain import notifications
from orchestra.domain.human import duration, one_line
from orchestra.domain.models.failures import FailureGroup
from orchestra.domain.models.tasks import Task
from orchestra.domain.notifications import (
    HELD,
    Failure,
    OfflineNotification,
    PilotNotification,
    TaskNotification,
)
from orchestra.domain.outcome_text import last_lines
from orchestra.domain.states import HoldCause, JobStatus, TaskState
from orchestra.store.mail import outbox
from orchestra.store.tasks import facts
from orchestra.store.tasks import tasks as task_store

KINDS_SHOWN = 5
"""The number of kinds of failures in a mail, the most frequent first."""
TAIL_LINES = 8


def task_ended(
    conn: psycopg.Connection, task: int, state: TaskState, *, by: str, why: str | None
) -> None:
    """Notify the owner of a locked task that it has ended. Its jobs may not have ended yet."""
    found = task_store.by_id(conn, task)
    if found is None:
        return
    counts = {status.value: found.counts[status] for status in JobStatus if found.counts[status]}
    if state in (TaskState.BROKEN, TaskState.KILLED):
        counts = _final_counts(found, state)
    if state is TaskState.KILLED:
        by, why = outbox.last_kill(conn, task) or (by, why)
    _write(conn, found, state.value, counts, by=by, why=why)


def task_held(conn: psycopg.Connection, task: int, *, by: str, why: str, cause: HoldCause) -> None:
    """Notify the owner of a locked task that Orchestra holds it. A hold by a person is not reported."""
    found = None if cause is HoldCause.PERSON else task_store.by_id(conn, task)
    if found is None:
        return
    counts = {status.value: found.counts[status] for status in JobStatus if found.counts[status]}
    _write(conn, found, HELD, counts, by=by, why=why)


def _final_counts(task: Task, state: TaskState) -> dict[str, int]:
    """Count all jobs that are not done as broken or killed, as they will be."""
    done = task.counts.done
    counts = {"done": done, state.value.lower(): task.active_jobs - done}
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
    notification = TaskNotification(
        task=task.id,
        name=task.name,
        outcome=outcome,
        jobs=task.active_jobs,
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
    outbox.add_for_owner(
        conn, task.id, TaskNotification.KIND, notifications.to_payload(notification)
    )


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
    """Return one line without NUL, which JSON in PostgreSQL cannot contain."""
    return one_line(text, 500) if text else None


# Nodes


def node_silent(conn: psycopg.Connection, pilot: outbox.SilentPilot) -> None:
    """Notify the admins, and the owners of the jobs on a silent node."""
    affected = outbox.at_stake(conn, pilot.node_id)
    until = f"{pilot.lease_until:%d %b %H:%M} UTC" if pilot.lease_until else None
    for owner in dict.fromkeys(owner for owner, _ in affected):
        theirs = tuple(task for who, task in affected if who == owner)
        notification = OfflineNotification(pilot.node, pilot.silent_for, theirs, until)
        outbox.add_for_person(
            conn, owner, OfflineNotification.KIND, notifications.to_payload(notification)
        )
    what = (
        f"The pilot of node {pilot.node} has not been heard from for {duration(pilot.silent_for)} and did not sign "
        "off: the machine is off or disconnected, or the pilot has died"
    )
    jobs = sum(task.jobs for _, task in affected)
    silent = PilotNotification(pilot.node, what, jobs, silent=True)
    outbox.add_for_admins(conn, PilotNotification.KIND, notifications.to_payload(silent))


def pilot_died(conn: psycopg.Connection, node: str, jobs: int, reason: str) -> None:
    """Notify the admins that a keeper on a node has died with so many jobs."""
    notification = PilotNotification(
        node, f"The keeper of the jobs on node {node} has died: {_clean(reason)}", jobs
    )
    outbox.add_for_admins(conn, PilotNotification.KIND, notifications.to_payload(notification))
