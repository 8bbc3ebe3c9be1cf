"""Looking at what has changed, again and again, for everybody who watches through one process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Generic, TypeVar

import psycopg

from orchestra.domain.hints import Changed, Topics
from orchestra.store.cluster import watching as store

K = TypeVar("K")
V = TypeVar("V")
COUNT_EVERY = 1.0
SHARE = 50
"""The counts are read at most every COUNT_EVERY seconds, and take at most one part in so many of the time."""


class Watcher:
    """Looks at the database, over a connection of its own; for one thread at a time.

    After an error the next look connects again, and misses nothing.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._conn: psycopg.Connection | None = None
        self._cursor: str | None = None
        self._counts: _Compared[int, tuple[int, ...]] = _Compared()
        self._nodes: _Compared[int, int] = _Compared()
        self._count_again = 0.0

    def look(self, topics: Topics) -> Changed:
        """Return what has changed since the previous look. The first one finds nothing.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        if self._conn is None or self._conn.closed:
            self._conn = self._connect()
        if self._cursor is None:
            self._cursor = store.begin(self._conn)
        fresh = store.fresh(self._conn, self._cursor)
        moved, touched = self._compare(self._conn, topics)
        self._cursor = fresh.cursor
        jobs = frozenset(fresh.jobs) | moved
        return Changed(
            fresh.everything, frozenset(fresh.tasks), jobs, fresh.nodes or bool(jobs) or touched
        )

    def _compare(self, conn: psycopg.Connection, topics: Topics) -> tuple[frozenset[int], bool]:
        """Return the tasks whose jobs have moved, and whether a node has changed: what has no event."""
        began = time.monotonic()
        if began < self._count_again:
            return frozenset(), False
        # A start takes a slot, so whoever watches nodes wants to know those of all tasks.
        tasks = None if topics.all_tasks or topics.nodes else topics.tasks
        moved = self._counts.compare(store.counts(conn, tasks))
        touched = bool(topics.nodes and self._nodes.compare(store.nodes(conn), gone=True))
        took = time.monotonic() - began
        self._count_again = began + max(COUNT_EVERY, SHARE * took)
        return moved, touched

    def close(self) -> None:
        """Close the connection, and forget what was seen."""
        if self._conn is not None:
            self._conn.close()
        self._conn = self._cursor = None
        self._counts, self._nodes, self._count_again = _Compared(), _Compared(), 0.0


class _Compared(Generic[K, V]):
    """Values by key, compared with those of the time before."""

    def __init__(self) -> None:
        self._before: dict[K, V] | None = None

    def compare(self, now: dict[K, V], *, gone: bool = False) -> frozenset[K]:
        """Return the keys whose values differ from those before; with `gone`, also those that are new or gone."""
        before, self._before = self._before, now
        if before is None:
            return frozenset()
        differ = {key for key in before.keys() & now.keys() if before[key] != now[key]}
        return frozenset(differ | (before.keys() ^ now.keys()) if gone else differ)
