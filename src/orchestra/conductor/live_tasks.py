"""The tasks that a conductor looks at again and again; what stands still is left out until that may have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestra.domain.lifecycle import is_idle
from orchestra.store import moves

ALL_EVERY = 10.0
"""Seconds after which all are looked at even though nobody has said that something changed."""


class LiveTasks:
    """What a conductor remembers of the live tasks: which of them stand still.

    These are held, or wait for another task, and no job of theirs is under way. So they change by a command, which the
    conductor hears of, or by what becomes of another task.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._still: set[int] = set()
        self._all_at = clock()

    def look_at_all(self) -> None:
        """Have the next reading include all: somebody has changed something."""
        self._all_at = self._clock()

    def read(
        self,
        conn: psycopg.Connection,
        unreadable: Callable[[int, Exception], None] | None = None,
    ) -> list[moves.LiveTask]:
        """Give the live tasks that can be understood, without those that stand still."""
        if self._clock() >= self._all_at:
            self._still.clear()
            self._all_at = self._clock() + ALL_EVERY
        return moves.live_tasks(conn, but=sorted(self._still), unreadable=unreadable)

    def compare(self, before: Sequence[moves.LiveTask], after: Sequence[moves.LiveTask]) -> None:
        """Take in what has become of tasks in a round of duties: others may have waited for it."""
        states = {task.id: task.facts.state for task in after}
        if any(states.get(task.id) is not task.facts.state for task in before):
            self.look_at_all()
        self._still |= {t.id for t in after if t.rank is None and is_idle(t.facts)}
