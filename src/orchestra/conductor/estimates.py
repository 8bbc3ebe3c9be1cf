"""The duty that learns how long a job of a task takes, for the end that lists show."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.states import TaskState
from orchestra.store import moves

SAMPLE = 200
"""Jobs that an estimate rests on."""
AGAIN_AFTER = 1.25
"""An estimate is made anew when so many times as many jobs are done: the later ones may take longer than the first."""


class Estimates:
    """What a conductor remembers of its estimates: how many jobs of each running task were done at the last one."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def learn(self, conn: psycopg.Connection, tasks: Sequence[moves.LiveTask]) -> None:
        """Take the median of the jobs that were done last, as far as jobs are done in order."""
        before, self._done = self._done, {}
        for task in tasks:
            done = task.facts.counts.done
            if task.facts.state is not TaskState.RUNNING or not done:
                continue
            unknown = task.typical_seconds is None
            last = self._done[task.id] = before.get(task.id, done)
            if unknown or done >= max(last + 1, last * AGAIN_AFTER):
                moves.update_typical_seconds(conn, task.id, max(0, done - SAMPLE))
                self._done[task.id] = done
