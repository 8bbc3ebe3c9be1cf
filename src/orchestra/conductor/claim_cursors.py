"""The duty that resets the claim cursors of stalled tasks, so that a wrong cursor cannot hide a job forever.

A claim cursor is the index of the job at which the next claim begins to search.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.conductor.term import Transact
from orchestra.domain.models.tasks import Counts
from orchestra.domain.states import Queue
from orchestra.store.tasks import live_tasks
from orchestra.store.work import claim_cursors

STALLED_AFTER = 30.0
"""Seconds without a change in a task with assigned jobs after which its cursors are reset."""


class CursorResets:
    """Remembers the counts of tasks with assigned jobs, how long these have not changed, and which tasks were reset."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Counts, float, bool]] = {}

    def tick(
        self,
        conn: psycopg.Connection,
        transact: Transact,
        tasks: Sequence[live_tasks.LiveTask],
        now: float,
    ) -> set[Queue]:
        """Reset the cursors of stalled tasks; `now` is the monotonic clock.

        Returns the queues in which jobs may have become claimable: their pilots must be woken.
        """
        stalled = set(self._stalled(tasks, now))
        if stalled and transact(lambda: claim_cursors.reset(conn, sorted(stalled))):
            return {task.queue for task in tasks if task.id in stalled}
        return set()

    def _stalled(self, tasks: Sequence[live_tasks.LiveTask], now: float) -> list[int]:
        """Return the newly stalled tasks. A task is returned again only after it has changed."""
        before, self._seen = self._seen, {}
        stalled = []
        for task in tasks:
            facts = task.facts
            if facts.held or not facts.state.may_claim or not facts.counts.assigned:
                continue
            counts, since, was_reset = before.get(task.id, (facts.counts, now, False))
            if counts != facts.counts:
                since, was_reset = now, False
            if now - since >= STALLED_AFTER and not was_reset:
                stalled.append(task.id)
                was_reset = True
            self._seen[task.id] = facts.counts, since, was_reset
        return stalled
