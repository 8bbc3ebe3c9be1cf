"""Keeps the jobs of a task within its max_running: what is released or alive never exceeds it.

Jobs are released under the task's exclusive lock, with exact counts, and by reports, which share the lock and only give
the places that their jobs leave to successors.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import psycopg

from orchestra.domain.states import JobState
from orchestra.store.cluster import events
from orchestra.store.driver import channels
from orchestra.store.jobs import running_limit
from orchestra.store.tasks import locks, task_mutations

_ANY = 2**31 - 1


def fill(conn: psycopg.Connection, task: int, *, by: str) -> int:
    """Release or withdraw as many jobs as its limit demands; return how many were released.

    Waits for the task's exclusive lock. Pilots are not notified.
    """
    locks.exclude(conn, task)
    released = 0
    for limited in running_limit.read(conn, [task]):
        change = limited.places.change(_ANY if limited.is_open else 0)
        released += _release(conn, limited, change, by)
        _withdraw(conn, limited, -change, by)
    return released


def release_successors(conn: psycopg.Connection, left: Mapping[int, int], *, by: str) -> None:
    """Release jobs in the places of those that have `left` each task, in this transaction. The tasks are shared."""
    for limited in running_limit.read(conn, left) if left else ():
        if limited.is_open:
            _release(conn, limited, limited.places.successors(left[limited.id]), by)


def withdraw_excess(
    conn: psycopg.Connection, tasks: Collection[int] | None = None, *, by: str
) -> None:
    """Withdraw unclaimed jobs beyond the limits of tasks, of all live ones by default. The tasks are shared by this."""
    chosen = running_limit.limited_tasks(conn) if tasks is None else tasks
    locks.share(conn, chosen)
    for limited in running_limit.read(conn, chosen):
        _withdraw(conn, limited, -limited.places.change(0), by)


def set_limit(conn: psycopg.Connection, task: int, limit: int | None, *, by: str) -> None:
    """Change a locked task's max_running, at once: release more jobs, or withdraw those that no pilot has claimed.

    Jobs that run go on, even if they are more than the new limit. In the caller's transaction, which also records who
    changed the task.
    """
    task_mutations.set_max_running(conn, task, limit)
    if fill(conn, task, by=by):
        channels.notify_workers(conn, *(each.queue for each in running_limit.read(conn, [task])))
    channels.notify(conn, channels.CONDUCTOR)


def _release(conn: psycopg.Connection, task: running_limit.LimitedTask, limit: int, by: str) -> int:
    due, following = running_limit.release(conn, task, limit)
    _note(conn, task.id, JobState.REGISTERED, JobState.ASSIGNED, following, by)
    return due + following


def _withdraw(
    conn: psycopg.Connection, task: running_limit.LimitedTask, limit: int, by: str
) -> None:
    withdrawn = running_limit.withdraw(conn, task.id, limit)
    _note(conn, task.id, JobState.ASSIGNED, JobState.REGISTERED, withdrawn, by)


def _note(
    conn: psycopg.Connection, task: int, before: JobState, after: JobState, jobs: int, by: str
) -> None:
    if jobs:
        events.add_task_event(
            conn, task, before=before, after=after, jobs=jobs, who=by, kind="release"
        )
