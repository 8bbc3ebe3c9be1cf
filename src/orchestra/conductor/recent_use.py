"""The duty that keeps what each user has used lately, for the order between users."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestra.domain.fair_share import Rates, Share, used_lately
from orchestra.store.cluster import recent_use
from orchestra.store.tasks import live_tasks

WRITTEN_EVERY = 60.0
"""Seconds between two writes. The rows decay by themselves, so that only the use since the last one can be lost."""


class RecentUse:
    """Remembers what each user has used lately, and what their jobs cost at the last look."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lately: dict[int, float] | None = None
        self._in_use: dict[int, float] = {}
        self._unwritten: set[int] = set()
        self._looked_at = self._written_at = 0.0
        self._rates = Rates()

    def forget(self) -> None:
        """Read everything again at the next look: another process may have been the conductor meanwhile."""
        self._lately = None

    def look(
        self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]
    ) -> dict[int, Share]:
        """Return the share of each owner of a live task; record their recent use from time to time."""
        now = self._clock()
        if self._lately is None:
            self._rates = recent_use.rates(conn)
            in_use = self._cost(tasks)
            self._lately = {
                person: used_lately(lately, in_use.get(person, 0.0), seconds)
                for person, (lately, seconds) in recent_use.read(conn).items()
            }
            self._written_at = now - WRITTEN_EVERY
        else:
            for person in self._lately.keys() | self._in_use.keys():
                used, lately = self._in_use.get(person, 0.0), self._lately.get(person, 0.0)
                self._lately[person] = used_lately(lately, used, now - self._looked_at)
        if now - self._written_at >= WRITTEN_EVERY:
            self._rates = recent_use.rates(conn)
            self._write(conn)
            self._written_at = now
        self._in_use, self._looked_at = self._cost(tasks), now
        self._unwritten |= self._in_use.keys()
        return {
            task.owner_id: Share(
                self._in_use.get(task.owner_id, 0.0),
                self._lately.get(task.owner_id, 0.0),
                task.shares,
            )
            for task in tasks
        }

    def _cost(self, tasks: Sequence[live_tasks.LiveTask]) -> dict[int, float]:
        costs: dict[int, float] = {}
        for task in tasks:
            if task.load.jobs:
                cost = self._rates.cost(task.load)
                costs[task.owner_id] = costs.get(task.owner_id, 0.0) + cost
        return costs

    def _write(self, conn: psycopg.Connection) -> None:
        """Record the recent use of those who used something since the last time; other rows decay by themselves."""
        assert self._lately is not None
        people = sorted(self._unwritten)
        recent_use.write(conn, {person: self._lately.get(person, 0.0) for person in people})
        self._unwritten.clear()
