"""What a claim may take of a node that waits for the next job of a task. See `domain/reservation_plan.py`."""

from __future__ import annotations

from dataclasses import dataclass
from sys import maxsize

import psycopg

from orchestra.store.nodes import reservations
from orchestra.store.work.claims import Candidate, Reserved


@dataclass(slots=True)
class ReservedNode:
    """The reservation of the claiming node, None if it has none or has got the job that it waited for.

    The task that it waits for may take everything; others only what ends before that starts, or what is spare.
    """

    held: Reserved | None
    _before: Reserved | None = None

    def __post_init__(self) -> None:
        self._before = self.held

    def count(self, task: Candidate) -> int:
        """Return how many jobs of a task may start."""
        held = self.held
        if held is None or task.id == held.task or _ends_before(task, held):
            return maxsize
        return 0 if task.request.exclusive else held.spare.count(task.request)

    def take(self, task: Candidate, jobs: int) -> None:
        """Note that jobs were claimed."""
        held = self.held
        if held is None or not jobs:
            return
        if task.id == held.task:
            self.held = None
        elif not _ends_before(task, held):
            self.held = Reserved(held.task, held.starts_in, held.spare.after(task.request, jobs))

    def settle(self, conn: psycopg.Connection, node: int) -> None:
        """Record what has become of the reservation. The conductor locks all of them, so a claim does this last."""
        if self._before is None or self.held == self._before:
            return
        task = self._before.task
        if self.held is None:
            reservations.end_on(conn, node, task)
        else:
            reservations.set_spare(conn, node, task, self.held.spare)


def _ends_before(task: Candidate, held: Reserved) -> bool:
    return task.seconds is not None and task.seconds <= held.starts_in
