"""Reads the live tasks for the conductor, round after round, without those that cannot have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestra.domain.lifecycle import is_idle
from orchestra.store.tasks import live_tasks

READ_ALL_EVERY = 10.0
"""Seconds after which all live tasks are read, even if no change was announced."""


class TaskReader:
    """Remembers which live tasks are idle.

    An idle task is held or waits for another task, and none of its jobs is running. Only a command, which the conductor
    is notified of, or the state of another task can change it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._idle: set[int] = set()
        self._read_all_at = clock()

    def read_all_next(self) -> None:
        """Include idle tasks in the next read, because something has changed."""
        self._read_all_at = self._clock()

    def read(
        self,
        conn: psycopg.Connection,
        unreadable: Callable[[int, Exception], None] | None = None,
    ) -> list[live_tasks.LiveTask]:
        """Return the live tasks that are not idle. `unreadable` is called for each row that cannot be parsed."""
        if self._clock() >= self._read_all_at:
            self._idle.clear()
            self._read_all_at = self._clock() + READ_ALL_EVERY
        return live_tasks.read(conn, but=sorted(self._idle), unreadable=unreadable)

    def observe(
        self, before: Sequence[live_tasks.LiveTask], after: Sequence[live_tasks.LiveTask]
    ) -> None:
        """Compare the tasks before and after a round: a task that has changed state may end the wait of another."""
        states = {task.id: task.facts.state for task in after}
        if any(states.get(task.id) is not task.facts.state for task in before):
            self.read_all_next()
        self._idle |= {task.id for task in after if task.rank is None and is_idle(task.facts)}
