"""Tasks that wait for other tasks: a wait ends when the other task is DONE, or when the owner ends it."""

from __future__ import annotations

import psycopg

from orchestra.domain.errors import Refused
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, words
from orchestra.store.cluster import events
from orchestra.store.tasks import chains as store
from orchestra.store.tasks import task_mutations

KIND = "after"
"""Of the events of this module."""


def meet(conn: psycopg.Connection, task: int, *, who: str) -> None:
    """End the waits of a task for tasks that are DONE; where its configs are their outputs, record a chunk of them.

    Runs in the caller's transaction; the conductor repeats it.
    """
    for wait in store.of_task(conn, task):
        if wait.met and wait.gives_configs:
            task_mutations.lock_task(
                conn, wait.id
            )  # so that no retry comes in between; the older task first
    task_mutations.lock_task(conn, task)
    for wait in store.of_task(conn, task):
        if not wait.met:
            continue
        if wait.gives_configs and not store.write_configs(conn, task, wait.id):
            continue
        store.remove(conn, task, wait.id)
        _note(conn, task, f"task {wait.id} ({wait.name}) is DONE", who)


def is_due(conn: psycopg.Connection, task: int) -> bool:
    """Whether a wait of a task can end."""
    return any(wait.met for wait in store.of_task(conn, task))


def let_go(conn: psycopg.Connection, locked: task_mutations.LockedTask, *, by: str) -> None:
    """Let a locked task begin without the tasks that it waits for.

    Raises:
        Refused: its configs are outputs that do not exist yet.
    """
    waits = store.of_task(conn, locked.id) if locked.state is TaskState.REGISTERED else []
    for wait in waits:
        if wait.gives_configs:
            raise Refused(
                f"the configs of task {locked.id} ({locked.name}) are the outputs of task {wait.id} "
                f"({wait.name}), so it cannot begin before that is DONE.",
                hint=words(
                    Action.CREATE_TASK_FROM(task=wait.id),
                    " uses the outputs that exist, once it has ended.",
                ),
            )
    for wait in waits:
        store.remove(conn, locked.id, wait.id)
        _note(conn, locked.id, f"task {wait.id} ({wait.name}) is not DONE", by)


def refuse_waiting(conn: psycopg.Connection, locked: task_mutations.LockedTask) -> None:
    """Refuse to start single jobs of a task that waits for another.

    Raises:
        Refused: the task waits.
    """
    if waits := store.of_task(conn, locked.id):
        raise Refused(
            f"task {locked.id} ({locked.name}) waits for task {waits[0].id} ({waits[0].name}).",
            hint=words(
                Action.RETRY_TASK(task=locked.id),
                " lets it wait again; its jobs follow when that is DONE.",
            ),
        )


def refuse_while_taken(conn: psycopg.Connection, locked: task_mutations.LockedTask) -> None:
    """Refuse to restart a locked task while another one records its outputs, which takes several transactions.

    Raises:
        Refused: another task is recording them.
    """
    if taker := store.config_consumer(conn, locked.id):
        number, name = taker
        raise Refused(
            f"task {number} ({name}) is recording the outputs of task {locked.id} ({locked.name}) right now.",
            hint="Try again in a few seconds.",
        )


def _note(conn: psycopg.Connection, task: int, why: str, who: str) -> None:
    events.add_task_event(conn, task, before=KIND, after=None, who=who, why=why, kind=KIND)
