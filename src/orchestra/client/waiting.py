"""Waiting for a task, also while the database is unavailable."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

from orchestra.client.progress import display
from orchestra.domain.errors import DatabaseUnavailable, NotDone, TimedOut
from orchestra.domain.human import duration
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import TaskState
from orchestra.domain.wording import Action, words

PATIENCE = 600.0
_POLL_FIRST, _POLL_MOST = 0.2, 1.0


def wait(
    look: Callable[[], tuple[Task, str]],
    timeout: float | None,
    *,
    progress: bool,
    sleep: Callable[[float], None] = time.sleep,
    patience: float = PATIENCE,
) -> Task:
    """Poll a task until it has ended. Times are in seconds.

    `look` returns it with the reason why nothing of it runs, if there is one.

    Raises:
        TimedOut: it has not ended in time.
        DatabaseUnavailable: the database was unavailable for longer than `patience`.
    """
    begun = time.monotonic()
    seen, pause = begun, _POLL_FIRST
    task: Task | None = None
    with closing(display(progress)) as shown:
        while True:
            try:
                before = task
                task, why = look()
                seen = time.monotonic()
                shown.show(task, why)
                if task.is_over:
                    return task
                pause = min(_POLL_MOST, pause * 1.2) if _same(task, before) else _POLL_FIRST
            except DatabaseUnavailable as error:
                if time.monotonic() - seen > patience:
                    raise
                shown.away(str(error))
            left = None if timeout is None else timeout - (time.monotonic() - begun)
            if left is not None and left <= 0:
                raise _timed_out(task, timeout)
            sleep(pause if left is None else min(pause, left))


def _same(task: Task, before: Task | None) -> bool:
    return before is not None and before.state is task.state


def _timed_out(task: Task | None, timeout: float | None) -> TimedOut:
    what = f"task {task.id} ({task.name}) is {task.state}" if task else "there is no connection"
    return TimedOut(f"{what}; it has not ended within {duration(timeout or 0)}.")


def check(task: Task) -> None:
    """Check that a task has ended in the state DONE.

    Raises:
        NotDone: it has ended in another state.
    """
    if task.state is not TaskState.DONE:
        raise NotDone(
            f"task {task.id} ({task.name}) is {task.state}: {task.counts.done} of {task.active_jobs} jobs are done.",
            hint=words(Action.SHOW_TASK(task=task.id), " shows what happened."),
        )
