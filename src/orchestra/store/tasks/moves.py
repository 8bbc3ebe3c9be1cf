"""The changes of state of tasks and of many jobs at a time. Nobody else writes a state, but reports of attempts.

Every function runs inside its caller's transaction; those that change something want the task locked before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestra.domain.errors import NotFound, Superseded
from orchestra.domain.lifecycle import TaskFacts, TestFacts
from orchestra.domain.models.tasks import Counts, Limit
from orchestra.domain.states import (
    HoldCause,
    JobState,
    JobStatus,
    PendingOperation,
    Queue,
    TaskState,
)
from orchestra.domain.wording import Action, words
from orchestra.store.driver import notices
from orchestra.store.driver.columns import Ints, Texts
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import locks

SQL = load("tasks/moves")
EVENTS = load("cluster/events")


@dataclass(frozen=True, slots=True)
class LockedTask:
    """A task that cannot change before the transaction ends, but by it."""

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


@dataclass(frozen=True, slots=True)
class LiveTask:
    """A task as the conductor sees it; `slots` are those of its queue that one job takes."""

    id: int
    name: str
    queue: Queue
    owner_id: int
    priority: int
    first_in_line: bool
    rank: int | None
    slots: int
    test_for: float | None
    typical_seconds: float | None
    facts: TaskFacts


@dataclass(frozen=True, slots=True)
class LockedJob:
    index: int
    state: JobState
    is_test: bool
    claimed: bool


def lock_task(conn: psycopg.Connection, task: int) -> LockedTask:
    """Lock a task for a command.

    Raises:
        NotFound: there is none (any more).
    """
    locks.exclude(conn, task)
    return _locked(task, fetch(conn, SQL.lock_task, {"task": task}))


def share_task(conn: psycopg.Connection, task: int) -> LockedTask:
    """Lock a task against commands alone, to release jobs of it.

    Raises:
        NotFound: there is none (any more).
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
    )


def move_task(conn: psycopg.Connection, task: int, before: TaskState, after: TaskState) -> None:
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
    if conn.execute(SQL.move_task, params).rowcount != 1:
        raise Superseded(f"task {task} is no longer {before}")


def begin_run(conn: psycopg.Connection, task: int, *, bypass: bool) -> None:
    conn.execute(SQL.begin_run, {"task": task, "bypass": bypass})


def hold(conn: psycopg.Connection, task: int, *, by: str, why: str, cause: HoldCause) -> bool:
    """Hold a task; False when it is held already."""
    params = {"task": task, "by": by, "why": why, "cause": cause}
    return conn.execute(SQL.hold_task, params).rowcount == 1


def release(conn: psycopg.Connection, task: int) -> bool:
    """Release a task; False when it was not held."""
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


def release_test_jobs(conn: psycopg.Connection, task: int, limit: int) -> int:
    return conn.execute(SQL.release_test_jobs, {"task": task, "limit": limit}).rowcount


def release_jobs(conn: psycopg.Connection, task: int, limit: int) -> int:
    return conn.execute(SQL.release_jobs, {"task": task, "limit": limit}).rowcount


def end_test_marks(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.end_test_marks, {"task": task})


def end_test(conn: psycopg.Connection, task: int) -> int:
    """Withdraw the test jobs that wait and ask the living ones to end; gives how many."""
    withdrawn = conn.execute(SQL.withdraw_test_jobs, {"task": task}).rowcount
    return withdrawn + conn.execute(SQL.ask_test_jobs_to_end, {"task": task}).rowcount


def ask_jobs_to_end(conn: psycopg.Connection, task: int) -> int:
    return conn.execute(SQL.ask_jobs_to_end, {"task": task}).rowcount


def break_jobs(conn: psycopg.Connection, task: int, first: int, following: int) -> int:
    params = {"task": task, "first": first, "next": following}
    return conn.execute(SQL.break_jobs, params).rowcount


def kill_jobs(conn: psycopg.Connection, task: int, first: int, following: int) -> int:
    params = {"task": task, "first": first, "next": following}
    return conn.execute(SQL.kill_jobs, params).rowcount


def retry_jobs(
    conn: psycopg.Connection, task: int, first: int, following: int, *, every: bool, turn: int
) -> int:
    params = {"task": task, "first": first, "next": following, "all": every, "turn": turn}
    return conn.execute(SQL.retry_jobs, params).rowcount


def lock_jobs(conn: psycopg.Connection, task: int, indexes: Sequence[int]) -> list[LockedJob]:
    rows = fetch(conn, SQL.lock_jobs, {"task": task, "indexes": list(indexes)})
    return [
        LockedJob(row["ordinal"], JobState(row["state"]), row["is_test"], row["claimed"])
        for row in rows
    ]


def retry_chosen_jobs(
    conn: psycopg.Connection, task: int, indexes: Sequence[int], *, testing: bool
) -> int:
    """Start jobs over, first in line; gives how many went back into the test, if it is under way (`testing`)."""
    conn.execute(SQL.retry_chosen_jobs, {"task": task, "indexes": list(indexes)})
    return conn.execute(SQL.readmit_test_jobs, {"task": task}).rowcount if testing else 0


def kill_chosen_jobs(conn: psycopg.Connection, task: int, indexes: Sequence[int]) -> None:
    """Those that wait are killed at once, those that are alive are asked to end."""
    params = {"task": task, "indexes": list(indexes)}
    conn.execute(SQL.ask_chosen_jobs_to_end, params)
    conn.execute(SQL.kill_waiting_jobs, params)


def live_tasks(
    conn: psycopg.Connection,
    only: int | None = None,
    *,
    but: Sequence[int] = (),
    unreadable: Callable[[int, Exception], None] | None = None,
) -> list[LiveTask]:
    """Give what the conductor decides on, with exact counts, by id; `only` one task, if it lives, or all `but` some.

    A task that holds a value which is not known here, a newer version's, is left out where `unreadable` takes it.
    """
    tasks = []
    for row in fetch(conn, SQL.live_tasks, {"only": only, "but": list(but)}):
        try:
            tasks.append(_live_task(row))
        except ValueError as error:
            if unreadable is None:
                raise
            unreadable(row["id"], error)
    return tasks


def _live_task(row: Mapping[str, Any]) -> LiveTask:
    limit = Limit(row["max_fails"], row["max_fails_percent"])
    facts = TaskFacts(
        state=TaskState(row["state"]),
        held=row["held"],
        test_jobs=row["test_jobs"],
        jobs=row["jobs"],
        counts=Counts(**{status.value: row[status.value] for status in JobStatus}),
        pending_operation=PendingOperation(row["intent"]) if row["intent"] else None,
        max_fails=None if limit == Limit() else limit,
        forgiven=row["fails_forgiven"],
        waits=row["waits"],
    )
    return LiveTask(
        id=row["id"],
        name=row["name"],
        queue=Queue(row["queue"]),
        owner_id=row["owner_id"],
        priority=row["priority"],
        first_in_line=row["first_in_line"],
        rank=row["rank"],
        slots=row["slots"],
        test_for=row["test_for"],
        typical_seconds=row["typical_seconds"],
        facts=facts,
    )


def test_facts(conn: psycopg.Connection, task: int, test_for: float | None) -> TestFacts:
    """Give how a task's test stands."""
    params = {"task": task, "test_for": test_for}
    return TestFacts(**fetch(conn, SQL.test_facts, params)[0])


test_facts.__test__ = False  # type: ignore[attr-defined]


def update_typical_seconds(conn: psycopg.Connection, task: int, first: int = 0) -> None:
    """Take the median duration of those of 200 jobs that are done, from the `first` on, as what a job takes."""
    params = {"task": task, "first": first}
    seconds = fetch(conn, SQL.typical_seconds, params)[0]["percentile_cont"]
    if seconds is not None:
        conn.execute(SQL.set_typical_seconds, {"task": task, "seconds": seconds})


def set_ranks(conn: psycopg.Connection, ranks: Mapping[int, int | None]) -> None:
    if ranks:
        conn.execute(SQL.set_ranks, {"tasks": list(ranks), "ranks": list(ranks.values())})


def drop_floors(conn: psycopg.Connection, tasks: Sequence[int]) -> bool:
    """Let claims from these tasks look at every job again; True where one began further on."""
    params = {"tasks": sorted(tasks)}
    conn.execute(SQL.lock_floors, params)
    return conn.execute(SQL.drop_floors, params).rowcount > 0


def line_up(conn: psycopg.Connection, task: int) -> None:
    """Let a locked task without a rank be claimed from, after all others."""
    conn.execute(SQL.line_up, {"task": task})


def mark_deleted(conn: psycopg.Connection, task: int) -> None:
    conn.execute(SQL.mark_deleted, {"task": task})


def purge_deleted(conn: psycopg.Connection, limit: int) -> bool:
    """Remove up to `limit` rows of one deleted task; False when there is nothing left to remove."""
    rows = fetch(conn, SQL.deleted_tasks)
    if not rows:
        return False
    task = rows[0]["id"]
    versions = [row["id"] for row in fetch(conn, SQL.lonely_versions, {"task": task})]
    params = {"task": task, "versions": versions, "limit": limit}
    rows_of_it = (
        SQL.purge_attempts,
        SQL.purge_metrics,  # after the attempts: what is not there has no outcome any more
        SQL.purge_jobs,
        SQL.purge_files,
        SQL.purge_texts,
    )
    for statement in rows_of_it:
        if conn.execute(statement, params).rowcount:
            return True
    for statement in (SQL.purge_task, SQL.purge_versions, SQL.purge_datasets):
        conn.execute(statement, params)
    return True


def purge_versions(conn: psycopg.Connection, versions: Sequence[int], limit: int) -> bool:
    """Remove up to `limit` rows of lists of files, at last the lists themselves; True as there was something."""
    params = {"versions": list(versions), "limit": limit}
    for statement in (SQL.purge_files, SQL.purge_texts):
        if conn.execute(statement, params).rowcount:
            return True
    for statement in (SQL.purge_versions, SQL.purge_datasets):
        conn.execute(statement, params)
    return True


def add_task_event(
    conn: psycopg.Connection,
    task: int,
    *,
    before: str | None,
    after: str | None,
    who: str,
    why: str | None = None,
    jobs: int | None = None,
    kind: str = "task",
) -> None:
    params = {
        "kind": kind,
        "task": task,
        "from": before,
        "to": after,
        "jobs": jobs,
        "who": who,
        "why": why,
    }
    conn.execute(EVENTS.add_task_event, params)


def add_job_events(
    conn: psycopg.Connection,
    changes: Sequence[tuple[int, int, int | None, str, str, str | None]],
    *,
    who: str,
    node: int | None = None,
) -> None:
    """Write one event a change: (task, ordinal, attempt, from, to, why)."""
    if not changes:
        return
    tasks, indexes, attempts, before, after, why = zip(*changes, strict=True)
    params = {
        "tasks": Ints(tasks),
        "indexes": Ints(indexes),
        "attempts": Ints(attempts),
        "from": Texts(before),
        "to": Texts(after),
        "why": Texts(why),
        "who": who,
        "node": node,
    }
    conn.execute(EVENTS.add_job_events, params)


def wake_workers(conn: psycopg.Connection, *queues: Queue) -> None:
    """Tell the pilots that there is work in these queues (all, where none is named), after the commit."""
    for queue in queues or Queue:
        wake(conn, notices.WORK[queue])


def wake(conn: psycopg.Connection, channel: str, payload: str = "") -> None:
    """Tell who listens on `channel` when this transaction has committed."""
    conn.execute(EVENTS.wake, {"channel": channel, "payload": payload})
