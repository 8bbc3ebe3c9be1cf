"""The duty that removes what is old: a small portion at a time, seldom enough that nobody notices."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg

from orchestra.conductor.isolation import Isolation
from orchestra.conductor.term import Transact
from orchestra.domain.retention import RetentionPolicy
from orchestra.store import leader, metrics, retention

PACE = 0.5
"""Seconds between two portions of 2,000 rows."""
AGAIN_EVERY = 3600.0
"""Seconds from one pass to the next, once nothing is left to remove."""


@dataclass(slots=True)
class _Kind:
    """Something that goes with time. A step removes a portion, and says whether there may be more."""

    name: str
    step: Callable[[psycopg.Connection], bool]
    due: float = field(default=0.0)


class Retention:
    """What a conductor remembers of its passes: when each kind is looked at next, and how far that has come."""

    def __init__(self, keep: RetentionPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep, self._clock = keep, clock
        self._event = 0
        self._job = (-1, 0)
        self._kinds = [
            _Kind("old events", self._events),
            _Kind("old ends of logs", self._logs),
            _Kind("old metrics", self._metrics),
            _Kind("keepers that are gone", self._keepers),
            _Kind("old lists of files", self._versions),
        ]

    def tick(self, conn: psycopg.Connection, transact: Transact, isolation: Isolation) -> None:
        """Remove one portion, if one is due."""
        kind = min(self._kinds, key=lambda kind: kind.due)
        if self._clock() < kind.due:
            return

        def step() -> bool:
            leader.do_not_wait_for_disk(conn)
            return kind.step(conn)

        more = isolation.attempt(conn, kind.name, lambda: transact(step))
        kind.due = self._clock() + (AGAIN_EVERY if more is False else PACE)

    def _events(self, conn: psycopg.Connection) -> bool:
        last = retention.forget_events(conn, self._keep.events, self._event)
        self._event = last or 0
        return last is not None

    def _logs(self, conn: psycopg.Connection) -> bool:
        found = retention.task_to_forget(conn, self._keep.logs)
        if found is None:
            return False
        task, jobs = found
        before, first = self._job
        first = retention.forget_logs(conn, task, first if before == task else 0)
        self._job = task, first
        if first >= jobs:
            retention.note_forgotten(conn, task)
            self._job = -1, 0
        return True

    def _metrics(self, conn: psycopg.Connection) -> bool:
        return metrics.forget(conn, self._keep.metrics, retention.ROWS)

    def _keepers(self, conn: psycopg.Connection) -> bool:
        return retention.forget_keepers(conn, self._keep.events)

    def _versions(self, conn: psycopg.Connection) -> bool:
        return retention.forget_versions(conn, self._keep.events)
