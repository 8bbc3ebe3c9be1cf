"""The duties that decide which task is served next: their ranks, and the nodes that wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestra.conductor.recent_use import RecentUse
from orchestra.conductor.reservations import Reservations
from orchestra.domain.fair_share import NO_LOAD, Load
from orchestra.domain.ranking import in_order, rank
from orchestra.domain.states import Queue
from orchestra.domain.user_limits import reached
from orchestra.store.tasks import live_tasks


class TaskOrder:
    """Ranks tasks by what their owners use and have used lately, and reserves nodes for jobs that fit on none now."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._recent_use = RecentUse(clock)
        self._reservations = Reservations(clock)
        self._line: list[live_tasks.LiveTask] = []

    def forget(self) -> None:
        """Read what the last conductor has written: it may have been another process."""
        self._recent_use.forget()
        self._reservations.forget()

    def rerank(self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> set[Queue]:
        """Store the ranks that have changed. A task without claimable jobs has none, so that claims skip it.

        Returns the queues in which a task has claimable jobs again (released from a hold, a job to be retried): their
        pilots must be woken.
        """
        shares = self._recent_use.look(conn, tasks)
        scores = {owner: share.score for owner, share in shares.items()}
        contenders = [task.contender for task in tasks]
        ranks = rank(contenders, scores)
        changed = {task.id: ranks.get(task.id) for task in tasks if ranks.get(task.id) != task.rank}
        live_tasks.set_ranks(conn, changed)
        by_id = {task.id: task for task in tasks}
        self._line = [by_id[each.task] for each in in_order(contenders, scores)]
        return {
            task.queue for task in tasks if task.rank is None and changed.get(task.id) is not None
        }

    def reserve(self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> set[Queue]:
        """Reserve nodes for the first tasks of the last order whose next job fits on none.

        Returns the queues whose pilots must be woken, because a node waits no longer.
        """
        taken: dict[int, Load] = {}
        for task in tasks:
            taken[task.owner_id] = taken.get(task.owner_id, NO_LOAD) + task.load
        free = [
            task
            for task in self._line
            if reached(task.limits, taken.get(task.owner_id, NO_LOAD), task.request) is None
        ]
        return self._reservations.tick(conn, free)
