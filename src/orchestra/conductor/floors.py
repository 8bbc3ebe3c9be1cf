"""The duty that takes floors away where claims may begin too far on: no job waits for ever, should a floor be wrong."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.conductor.term import Transact
from orchestra.domain.models.tasks import Counts
from orchestra.domain.states import Queue
from orchestra.store import moves

STILL_FOR = 30.0
"""Seconds without any change in a task whose jobs wait, after which its floors are not believed."""


class Lookout:
    """What a conductor remembers of the tasks that it watches: their counts, since when, and whether it has acted."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[Counts, float, bool]] = {}

    def look(
        self,
        conn: psycopg.Connection,
        transact: Transact,
        tasks: Sequence[moves.LiveTask],
        now: float,
    ) -> set[Queue]:
        """Take the floors of still tasks away; `now` is by a monotonic clock.

        Gives the queues in which jobs may be found by it: pilots that found nothing are to be told.
        """
        still = set(self.still(tasks, now))
        if still and transact(lambda: moves.drop_floors(conn, sorted(still))):
            return {task.queue for task in tasks if task.id in still}
        return set()

    def still(self, tasks: Sequence[moves.LiveTask], now: float) -> list[int]:
        """Give the tasks in which nothing has changed for a while though jobs wait: each of them once, until it has."""
        before, self._seen = self._seen, {}
        still = []
        for task in tasks:
            facts = task.facts
            if facts.held or not facts.state.may_claim or not facts.counts.assigned:
                continue
            counts, since, acted = before.get(task.id, (facts.counts, now, False))
            if counts != facts.counts:
                since, acted = now, False
            if now - since >= STILL_FOR and not acted:
                still.append(task.id)
                acted = True
            self._seen[task.id] = facts.counts, since, acted
        return still
