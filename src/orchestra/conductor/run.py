"""The conductor: whoever holds the term carries out the duties, one after the other, again and again."""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import psycopg

from orchestra.conductor import estimates, order
from orchestra.conductor.lifecycle import advance
from orchestra.domain.errors import DatabaseUnavailable, Superseded
from orchestra.domain.states import Queue
from orchestra.services import lifecycle
from orchestra.store import leader, moves
from orchestra.store.database import in_transaction

TERM_SECONDS = 4.0
"""A term that is not renewed for this long is over: another process acts within 5 s."""
RENEW_EVERY = 1.0
BUSY_PAUSE = 0.2
"""Between looks while tasks live: no report wakes the conductor."""
NOTIFY_EVERY = 0.05
PURGE_ROWS = 2_000

log = logging.getLogger(__name__)


def run(
    connect: Callable[[], psycopg.Connection],
    stop: threading.Event,
    *,
    name: str,
    preferred: bool = False,
) -> None:
    """Be the conductor, or wait to be, until `stop` is set. Survives the database's absence.

    Args:
        connect: gives a new connection.
        name: shown to people, the node's for a pilot.
        preferred: takes the duty from one that does not prefer it.
    """
    pause = 0.5
    while not stop.is_set():
        try:
            with connect() as conn:
                pause = 0.5
                Conductor(conn, stop, name=name, preferred=preferred).serve()
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("conductor: %s", error)
            stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that many do not come at once
            pause = min(pause * 2, 15.0)


class Conductor:
    """One connection's worth of conducting."""

    def __init__(
        self, conn: psycopg.Connection, stop: threading.Event, *, name: str, preferred: bool
    ) -> None:
        self._conn = conn
        self._stop = stop
        self._name = name
        self._preferred = preferred
        self._holder = str(uuid4())
        self._term: leader.Term | None = None
        self._renewed_at = 0.0
        self._notified_at: dict[Queue, float] = {}

    def serve(self) -> None:
        """Hold the term and carry out the duties until asked to stop; the term is given back at the end."""
        self._conn.execute(f"listen {lifecycle.CONDUCTOR}")
        try:
            while not self._stop.is_set():
                self._wait(self._tick())
        finally:
            if self._term and not self._conn.closed:
                self._term.resign(self._conn)

    def _tick(self) -> float:
        """Carry out every duty once; gives the seconds until the next time."""
        if not self._hold_term():
            return RENEW_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - so that two do not march in step
        try:
            return self._duties()
        except Superseded:
            log.info("conductor: another process has taken over")
            self._term = None
            return RENEW_EVERY

    def _duties(self) -> float:
        tasks = moves.live_tasks(self._conn)
        woken = advance(self._conn, self._transact, tasks)
        if tasks:
            tasks = moves.live_tasks(self._conn)
            self._transact(lambda: self._write_down(tasks, woken))
        self._notify(woken)
        purged = self._transact(lambda: moves.purge_deleted(self._conn, PURGE_ROWS))
        moving = any(task.facts.intent for task in tasks)
        return 0.0 if moving or purged or woken else BUSY_PAUSE if tasks else RENEW_EVERY

    def _write_down(self, tasks: list[moves.LiveTask], woken: set[Queue]) -> bool:
        woken |= order.rerank(self._conn, tasks)
        estimates.learn(self._conn, tasks)
        return True

    def _hold_term(self) -> bool:
        now = time.monotonic()
        if self._term and now - self._renewed_at >= RENEW_EVERY and not self._renew():
            self._term = None
        if self._term is None:
            self._term = leader.acquire(
                self._conn, self._holder, self._name, TERM_SECONDS, preferred=self._preferred
            )
            self._renewed_at = now
            if self._term:
                log.info("conductor: %s conducts (term %d)", self._name, self._term.number)
        return self._term is not None

    def _renew(self) -> bool:
        self._renewed_at = time.monotonic()
        return self._term is not None and self._term.renew(self._conn, TERM_SECONDS)

    def _transact(self, step: Callable[[], bool]) -> bool:
        """Run a step in a transaction of its own that holds the term."""
        term = self._term
        if term is None:
            raise Superseded

        def guarded() -> bool:
            term.check(self._conn)
            return step()

        if time.monotonic() - self._renewed_at >= RENEW_EVERY and not self._renew():
            raise Superseded
        return in_transaction(self._conn, guarded)

    def _notify(self, queues: set[Queue]) -> None:
        """Wake the pilots of a queue, at most once in 50 ms."""
        for queue in queues:
            wait = self._notified_at.get(queue, 0.0) + NOTIFY_EVERY - time.monotonic()
            if wait > 0:
                self._stop.wait(wait)
            moves.wake(self._conn, lifecycle.WORK[queue])
            self._notified_at[queue] = time.monotonic()

    def _wait(self, seconds: float) -> None:
        """Sleep until a command has changed something, or for so long."""
        deadline = time.monotonic() + seconds
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            if any(self._conn.notifies(timeout=0, stop_after=1)):
                return
            # Short enough to notice `stop`, which nothing else announces.
            if select.select([self._conn.fileno()], [], [], min(left, 0.5))[0]:
                continue
