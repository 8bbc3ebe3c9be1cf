"""What people do to tasks: hold, release, retry, kill, delete, wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.human import count, listed
from orchestra.domain.models.tasks import Task
from orchestra.domain.storable import check_reason
from orchestra.domain.transitions import TaskInput
from orchestra.interface.answers.task_actions import Done
from orchestra.interface.answers.tasks import Waited
from orchestra.services import lifecycle
from orchestra.services.asking import Ask
from orchestra.services.rights import check_may_change
from orchestra.store import tasks as store
from orchestra.store.database import in_transaction

_POLL_FIRST, _POLL_MOST = 0.2, 1.0
_PILOTS_POLL = 0.02
PILOTS_ANSWER_WITHIN = 5.0
NODES_NAMED = 5


def own_task(conn: psycopg.Connection, caller: Caller, task: int) -> Task:
    """Give a task that the caller may change.

    Raises:
        NotFound: there is none (any more).
        Refused: it belongs to somebody else.
    """
    found = store.by_id(conn, task)
    if found is None:
        raise NotFound(f"there is no task {task}.", hint="maestro task list -a shows all tasks.")
    check_may_change(caller, found.owner, f"task {task} ({found.name})")
    return found


def hold(conn: psycopg.Connection, caller: Caller, task: int, reason: str | None) -> Done:
    """Let no new job of a task start; what runs, runs on. `wait_for_pilots` waits until they know.

    Raises:
        NotFound, Refused: it cannot be held.
    """
    why = check_reason(reason) or "held by hand"
    return _apply(conn, caller, task, TaskInput.HOLD, why=why)


def wait_for_pilots(
    conn: psycopg.Connection, tasks: Sequence[int], *, timeout: float = PILOTS_ANSWER_WITHIN
) -> dict[int, list[str]]:
    """Wait until pilots have handed back or started what they had claimed ahead of held tasks.

    Gives the nodes that may still start a job, by task: they are offline, or did not answer within `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        left = store.nodes_yet_to_answer(conn, tasks)
        if time.monotonic() > deadline or not any(online for _, _, online in left):
            nodes: dict[int, list[str]] = {}
            for task, node, _ in left:
                nodes.setdefault(task, []).append(node)
            return nodes
        time.sleep(_PILOTS_POLL)


def not_answered(task: int, nodes: Sequence[str]) -> str:
    """Say of nodes that may still start a job of a held task."""
    return (
        f"{listed(nodes, most=NODES_NAMED)} did not answer, and may still start a job of task {task} that was claimed "
        "before"
    )


def release(conn: psycopg.Connection, caller: Caller, task: int) -> Done:
    """Let jobs of a held task start again.

    Raises:
        NotFound, Refused: it cannot be released.
    """
    return _apply(conn, caller, task, TaskInput.RELEASE)


def kill(conn: psycopg.Connection, caller: Caller, task: int, reason: str | None = None) -> Done:
    """End a task. One that has ended already stays as it is; the step says `again`.

    Raises:
        NotFound, Refused: it is not there, or somebody else's.
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
    """Start the jobs of a task that are not done over; with `every` all of them; with `bypass` without a new test.

    Raises:
        NotFound, Refused: it cannot be retried.
    """
    given = TaskInput.RETRY_ALL if every else TaskInput.RETRY
    return _apply(conn, caller, task, given, bypass=bypass)


def delete(conn: psycopg.Connection, caller: Caller, task: int) -> Done:
    """Take an ended task off the lists; the conductor removes its rows bit by bit.

    Raises:
        NotFound: it is not there.
        Refused: it is live, or somebody else's.
    """
    before = own_task(conn, caller, task)
    if before.state.is_live:
        alive = f", {count(before.counts.living, 'job')} alive" if before.counts.living else ""
        raise Refused(
            f"task {task} ({before.name}) is {before.state}{alive}.",
            hint="Kill it first, or use --force to do both.",
        )
    return Done(before, lifecycle.apply(conn, task, TaskInput.DELETE, by=caller.name))


def kill_for_good(conn: psycopg.Connection, caller: Caller, task: int, *, timeout: float) -> bool:
    """Kill a task and wait until it has ended; False when something of it is still alive after `timeout` seconds.

    Where nothing of it is alive nobody needs to be waited for, so this works without any conductor as well.
    """
    if kill(conn, caller, task, "to be deleted").before.state.is_live:
        _finish_moves(conn, task)
    deadline = time.monotonic() + timeout
    while True:
        found = own_task(conn, caller, task)
        if not found.state.is_live:
            return True
        if not store.any_claimed(conn, task) and found.intent is None:
            _end(conn, caller, task)
            continue
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_FIRST)


def _finish_moves(conn: psycopg.Connection, task: int) -> None:
    while not in_transaction(conn, lambda: lifecycle.carry_out(conn, task)):
        pass


def _end(conn: psycopg.Connection, caller: Caller, task: int) -> None:
    try:
        lifecycle.apply(conn, task, TaskInput.ALL_DEAD, by=caller.name)
    except Refused:
        pass  # the conductor was faster


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


def wait(
    ask: Ask,
    tasks: Sequence[int],
    *,
    timeout: float | None = None,
    changed: Callable[[Task], None] = lambda _task: None,
    sleep: Callable[[float], None] = time.sleep,
) -> Waited:
    """Wait until all tasks are over. `changed` is told of each task at first and whenever its state or hold changes,
    or the state of a task that it waits for.

    Raises:
        NotFound: one of them was deleted.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    seen: dict[int, tuple[object, ...]] = {}
    pause = _POLL_FIRST
    while True:
        found = ask(lambda conn: [_present(conn, task) for task in tasks])
        for task in found:
            look = (task.state, task.hold is not None, *(each.state for each in task.after))
            if seen.get(task.id) != look:
                seen[task.id], pause = look, _POLL_FIRST
                changed(task)
        if all(task.is_over for task in found):
            return Waited(tuple(found), timed_out=False)
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            return Waited(tuple(found), timed_out=True)
        sleep(pause if left is None else min(pause, left))
        pause = min(_POLL_MOST, pause * 1.2)


def _present(conn: psycopg.Connection, task: int) -> Task:
    found = store.by_id(conn, task)
    if found is None:
        raise NotFound(f"task {task} was deleted.")
    return found
