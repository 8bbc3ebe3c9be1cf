"""Changes to the state of tasks. Nothing else writes it.

Every function runs inside the caller's transaction. Those that change something require the task to be locked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from orchestra.domain.errors import NotFound, Superseded
from orchestra.domain.models.tasks import Limit, Task
from orchestra.domain.states import HoldCause, PendingOperation, Queue, TaskState
from orchestra.domain.wording import Action, words
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import locks, placements

SQL = load("tasks/task_mutations")


@dataclass(frozen=True, slots=True)
class LockedTask:
    """A task that only this transaction can change."""

    id: int
    name: str
    state: TaskState
    run: int
    queue: Queue
    jobs: int
    test_jobs: int
    held: bool
    pending_operation: PendingOperation | None
    operation_from: int
    operation_by: str | None
    max_running: int | None


def lock_task(conn: psycopg.Connection, task: int) -> LockedTask:
    """Lock a task for a command.

    Raises:
        NotFound: there is no such task.
    """
    locks.exclude(conn, task)
    return _locked(task, fetch(conn, SQL.lock_task, {"task": task}))


def share_task(conn: psycopg.Connection, task: int) -> LockedTask:
    """Lock a task against commands only, in order to release jobs of it.

    Raises:
        NotFound: there is no such task.
    """
    locks.share(conn, [task])
    return _locked(task, fetch(conn, SQL.shared_task, {"task": task}))


def _locked(task: int, rows: Sequence[Mapping[str, Any]]) -> LockedTask:
    if not rows:
        raise NotFound(
            f"there is no task {task}.",
            hint=words(Action.LIST_ALL_TASKS, " shows all tasks."),
            kind="task",
            task=task,
        )
    row = rows[0]
    return LockedTask(
        id=row["id"],
        name=row["name"],
        state=TaskState(row["state"]),
        run=row["run"],
        queue=Queue(row["queue"]),
        jobs=row["jobs"],
        test_jobs=row["test_jobs"],
        held=row["held"],
        pending_operation=PendingOperation(row["intent"]) if row["intent"] else None,
        operation_from=row["intent_from"],
        operation_by=row["intent_by"],
        max_running=row["max_running"],
    )


def change_state(conn: psycopg.Connection, task: int, before: TaskState, after: TaskState) -> None:
    """Change a locked task's state.

    Raises:
        Superseded: it is no longer in the state `before`.
    """
    params = {
        "task": task,
        "from": before,
        "to": after,
        "ends": not after.is_live,
        "claimable": after.may_claim,
    }
    if conn.execute(SQL.change_state, params).rowcount != 1:
        raise Superseded(f"task {task} is no longer {before}")


def begin_run(conn: psycopg.Connection, task: int, *, bypass: bool) -> None:
    conn.execute(SQL.begin_run, {"task": task, "bypass": bypass})


def hold(conn: psycopg.Connection, task: int, *, by: str, why: str, cause: HoldCause) -> bool:
    """Hold a task; False if it is held already."""
    params = {"task": task, "by": by, "why": why, "cause": cause}
    return conn.execute(SQL.hold_task, params).rowcount == 1


def release(conn: psycopg.Connection, task: int) -> bool:
    """Release a task; False if it was not held."""
    return conn.execute(SQL.release_task, {"task": task}).rowcount == 1


def set_pending_operation(
    conn: psycopg.Connection, task: int, operation: PendingOperation, *, by: str, why: str | None
) -> None:
    conn.execute(
        SQL.set_pending_operation, {"task": task, "intent": operation, "by": by, "why": why}
    )


def advance_operation(conn: psycopg.Connection, task: int, following: int) -> None:
    conn.execute(SQL.advance_operation, {"task": task, "next": following})


def finish_operation(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.finish_operation, {"task": task})


def append_to_queue(conn: psycopg.Connection, task: int) -> None:
    """Make a locked task without a rank claimable, after all others."""
    conn.execute(SQL.append_to_queue, {"task": task})


def set_max_running(conn: psycopg.Connection, task: int, limit: int | None) -> None:
    conn.execute(SQL.set_max_running, {"task": task, "limit": limit})


def mark_deleted(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.mark_deleted, {"task": task})


def change_settings(conn: psycopg.Connection, task: Task) -> None:
    """Give a locked task the settings of `task`, except for max_running."""
    limit = task.policy.max_fails or Limit()
    names = ("priority", "retries", "timeout", "grace", "walltime")
    params = {
        **{name: getattr(task.policy, name) for name in names},
        **asdict(task.resources),
        "max_fails": limit.count,
        "max_fails_percent": limit.percent,
        "goal": task.goal,
        "placement": placements.intern(conn, task.placement),
        "task": task.id,
    }
    conn.execute(SQL.change_settings, params)


def failures(conn: psycopg.Connection, task: int) -> int:
    """Return how many failures of a task count for max_fails."""
    return int(fetch(conn, SQL.failures, {"task": task})[0]["failures"])


def acknowledge(conn: psycopg.Connection, task: int) -> None:
    """Note that the end of a task was seen."""
    conn.execute(SQL.acknowledge, {"task": task})
