"""The duty that removes old rows, a small portion at a time, so that other statements are not delayed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from orchestra.conductor.isolation import Isolation
from orchestra.conductor.term import Transact
from orchestra.domain.retention import RetentionPolicy
from orchestra.store.cluster import leader, retention
from orchestra.store.jobs import log_parts, metrics

PORTION_EVERY = 0.5
"""Seconds between two portions of 2,000 rows."""
PASS_EVERY = 3600.0
"""Seconds between two passes, once nothing is left to remove."""


@dataclass(slots=True)
class _Kind:
    """One kind of rows. `remove` removes a portion and returns whether there may be more."""

    name: str
    remove: Callable[[psycopg.Connection], bool]
    due: float = 0.0


class Retention:
    """Remembers when each kind of rows is due, and how far its pass has come."""

    def __init__(self, keep: RetentionPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._keep, self._clock = keep, clock
        self._last_event = self._last_node = 0
        self._next_job = (-1, 0)
        self._kinds = [
            _Kind("old events", self._events),
            _Kind("old ends of logs", self._logs),
            _Kind("old metrics", self._metrics),
            _Kind("ended keepers", self._keepers),
            _Kind("nodes that are gone", self._nodes),
            _Kind("old allocations", self._allocations),
            _Kind("old hours", self._hours),
            _Kind("old lists of files", self._versions),
            _Kind("parts of logs", self._log_parts),
            _Kind("ended tokens and sessions", self._credentials),
            _Kind("old answers", retention.delete_answers),
        ]

    def tick(self, conn: psycopg.Connection, transact: Transact, isolation: Isolation) -> None:
        """Remove one portion, if one is due."""
        kind = min(self._kinds, key=lambda kind: kind.due)
        if self._clock() < kind.due:
            return

        def step() -> bool:
            leader.do_not_wait_for_disk(conn)
            return kind.remove(conn)

        more = isolation.attempt(conn, kind.name, lambda: transact(step))
        kind.due = self._clock() + (PASS_EVERY if more is False else PORTION_EVERY)

    def _events(self, conn: psycopg.Connection) -> bool:
        last = retention.delete_events(conn, self._keep.events, self._last_event)
        self._last_event = last or 0
        return last is not None

    def _logs(self, conn: psycopg.Connection) -> bool:
        found = retention.next_task(conn, self._keep.logs)
        if found is None:
            return False
        task, jobs = found
        before, first = self._next_job
        first = retention.delete_logs(conn, task, first if before == task else 0)
        self._next_job = task, first
        if first >= jobs:
            retention.note_forgotten(conn, task)
            self._next_job = -1, 0
        return True

    def _metrics(self, conn: psycopg.Connection) -> bool:
        return metrics.forget(conn, self._keep.metrics, retention.ROWS)

    def _keepers(self, conn: psycopg.Connection) -> bool:
        return retention.delete_keepers(conn, self._keep.events)

    def _nodes(self, conn: psycopg.Connection) -> bool:
        last = retention.delete_nodes(conn, self._keep.events, self._last_node)
        self._last_node = last or 0
        return last is not None

    def _allocations(self, conn: psycopg.Connection) -> bool:
        return retention.delete_allocations(conn, self._keep.events)

    def _hours(self, conn: psycopg.Connection) -> bool:
        retention.delete_hours(conn)
        return False

    def _versions(self, conn: psycopg.Connection) -> bool:
        return retention.delete_versions(conn, self._keep.events)

    def _log_parts(self, conn: psycopg.Connection) -> bool:
        log_parts.sweep(conn)
        return False

    def _credentials(self, conn: psycopg.Connection) -> bool:
        return retention.delete_credentials(conn)
