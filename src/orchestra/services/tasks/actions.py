"""Changes that people make to tasks: hold, release, retry, kill, delete."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.human import count
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import TaskState
from orchestra.domain.storable import check_reason
from orchestra.domain.transitions import KILL_FIRST, TaskInput
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.task_actions import Done, NodeToAnswer
from orchestra.services.tasks import lifecycle
from orchestra.services.users.rights import check_may_change
from orchestra.store.driver.database import in_transaction
from orchestra.store.tasks import task_mutations
from orchestra.store.tasks import tasks as store


def own_task(conn: psycopg.Connection, caller: Caller, task: int) -> Task:
    """Return a task that the caller may change.

    Raises:
        NotFound: there is no such task, or it has been deleted.
        Refused: it belongs to somebody else.
    """
    found = store.by_id(conn, task)
    if found is None:
        raise NotFound(
            f"there is no task {task}.",
            hint=words(Action.LIST_ALL_TASKS, " shows all tasks."),
            kind="task",
            task=task,
        )
    check_may_change(caller, found.owner, f"task {task} ({found.name})")
    return found


def hold(conn: psycopg.Connection, caller: Caller, task: int, reason: str | None) -> Done:
    """Start no new job of a task; running jobs continue. `pilots_to_answer` lists the nodes that do not know yet.

    Raises:
        NotFound, Refused: it cannot be held.
    """
    why = check_reason(reason) or "no reason given"
    return _apply(conn, caller, task, TaskInput.HOLD, why=why)


def pilots_to_answer(conn: psycopg.Connection, tasks: Sequence[int]) -> list[NodeToAnswer]:
    """Return the nodes that may still start a job of held tasks, because their pilots claimed it before the hold."""
    return [NodeToAnswer(*each) for each in store.nodes_yet_to_answer(conn, tasks)]


def release(conn: psycopg.Connection, caller: Caller, task: int) -> Done:
    """Let jobs of a held task start again.

    Raises:
        NotFound, Refused: it cannot be released.
    """
    return _apply(conn, caller, task, TaskInput.RELEASE)


def kill(conn: psycopg.Connection, caller: Caller, task: int, reason: str | None = None) -> Done:
    """Kill a task. A task that has ended stays as it is; the transition says `again`.

    Raises:
        NotFound, Refused: there is no such task, or it belongs to somebody else.
    """
    return _apply(conn, caller, task, TaskInput.KILL, why=check_reason(reason))


def retry(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    *,
    every: bool = False,
    bypass: bool = False,
) -> Done:
    """Retry the jobs of a task that are not done, or with `every` all of them; `bypass` skips the test.

    Raises:
        NotFound, Refused: it cannot be retried.
    """
    given = TaskInput.RETRY_ALL if every else TaskInput.RETRY
    return _apply(conn, caller, task, given, bypass=bypass)


def delete(conn: psycopg.Connection, caller: Caller, task: int) -> Done:
    """Delete an ended task; the conductor removes its rows in chunks.

    Raises:
        NotFound: there is no such task.
        Refused: it is live, or belongs to somebody else.
    """
    before = own_task(conn, caller, task)
    if before.state.is_live:
        alive = f", {count(before.counts.living, 'job')} alive" if before.counts.living else ""
        raise Refused(
            f"task {task} ({before.name}) is {before.state}{alive}.",
            hint=KILL_FIRST,
        )
    return Done(before, lifecycle.apply(conn, task, TaskInput.DELETE, by=caller.name))


def acknowledge(conn: psycopg.Connection, caller: Caller, task: int) -> Task:
    """Note that the failures of a task that has ended were seen, and return the task.

    Raises:
        NotFound: there is no such task.
        Refused: it is live, or belongs to somebody else.
    """
    found = own_task(conn, caller, task)
    if found.state.is_live:
        raise Refused(f"task {task} ({found.name}) is {found.state}; it has not ended.")
    task_mutations.acknowledge(conn, task)
    return found


def finish_kill(conn: psycopg.Connection, caller: Caller, task: int) -> Task:
    """Finish the kill of a task that has no job alive, and return the task as it is then.

    This needs no conductor.

    Raises:
        NotFound, Refused: there is no such task, or it belongs to somebody else.
    """
    own_task(conn, caller, task)
    while not in_transaction(conn, lambda: lifecycle.carry_out(conn, task)):
        pass
    found = own_task(conn, caller, task)
    if found.state is TaskState.KILL and not store.any_claimed(conn, task):
        _end(conn, caller, task)
        found = own_task(conn, caller, task)
    return found


def _end(conn: psycopg.Connection, caller: Caller, task: int) -> None:
    try:
        lifecycle.apply(conn, task, TaskInput.ALL_DEAD, by=caller.name)
    except Refused:
        pass  # the conductor did it first


def _apply(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    given: TaskInput,
    *,
    why: str | None = None,
    bypass: bool = False,
) -> Done:
    before = own_task(conn, caller, task)
    return Done(before, lifecycle.apply(conn, task, given, by=caller.name, why=why, bypass=bypass))
