"""The duty that estimates how long a job of each task takes: for end times, and for what can end in time."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.states import TaskState
from orchestra.store.tasks import live_tasks

SAMPLE = 200
"""Jobs that an estimate is based on."""
GROWTH = 1.25
"""An estimate is renewed when this many times as many jobs are done: later jobs may take longer than the first ones."""


class Estimates:
    """Remembers how many jobs of each running task were done at its last estimate."""

    def __init__(self) -> None:
        self._done: dict[int, int] = {}

    def tick(self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> None:
        """Store how long the latest done jobs took, assuming that jobs finish in order."""
        before, self._done = self._done, {}
        for task in tasks:
            done = task.facts.counts.done
            if task.facts.state is not TaskState.RUNNING or not done:
                continue
            unknown = task.typical_seconds is None
            last = self._done[task.id] = before.get(task.id, done)
            if unknown or done >= max(last + 1, last * GROWTH):
                live_tasks.update_durations(conn, task.id, max(0, done - SAMPLE))
                self._done[task.id] = done
