"""Runs pools in one process: connects, reconnects, and lets each of its pools do what is due."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection

import psycopg

from orchestra.domain.errors import DatabaseUnavailable, Superseded
from orchestra.domain.models.pools import Pool
from orchestra.pools.duty import PoolDuty
from orchestra.pools.wake import Alarm
from orchestra.services.database import terms
from orchestra.store.driver import channels

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 3.0
"""Seconds between two attempts to connect."""
LOOK_EVERY = 5.0
"""Seconds between two looks for pools that are new."""
HURRY_AFTER = 0.2
"""Seconds after which news are acted on: with them, more is likely to come."""
AFTER_ERROR = 5.0
"""Seconds after which a pool whose duty has failed goes on."""

log = logging.getLogger(__name__)


class PoolRunner:
    """The pools of one process.

    Args:
        connect: opens a new connection.
        stop: set when the process is to leave.
        find: returns the pools to run at present, over a connection.
        duty: makes the duty of a pool; None if its engine is not on this machine.
        alarm: what wakes this thread.
        lasts: whether it waits for new pools when it has none; otherwise it ends when its pools are deleted.
    """

    _conn: psycopg.Connection

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection],
        stop: threading.Event,
        find: Callable[[psycopg.Connection], Collection[Pool]],
        duty: Callable[[Pool], PoolDuty | None],
        alarm: Alarm,
        *,
        lasts: bool = True,
    ) -> None:
        self._connect, self._stop, self._find, self._make = connect, stop, find, duty
        self._alarm, self._lasts = alarm, lasts
        self._duties: dict[str, PoolDuty] = {}
        self._look_at = 0.0
        self._due_at: dict[str, float] = {}

    def run(self) -> None:
        """Run the pools until `stop` is set, or all are deleted. Reconnects when the database is unavailable."""
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                with self._connect() as conn:
                    pause = FIRST_PAUSE
                    self._serve(conn)
                    return
            except (DatabaseUnavailable, psycopg.Error) as error:
                log.warning("pools: %s", error)
            self._stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that processes do not retry in step
            pause = min(pause * 2, LONGEST_PAUSE)

    def _serve(self, conn: psycopg.Connection) -> None:
        self._conn, self._look_at = conn, 0.0
        channels.listen_for_pools(conn)
        for duty in self._duties.values():
            duty.use(conn)
        self._due_at.clear()
        try:
            while not self._stop.is_set():
                self._look()
                if not self._duties and not self._lasts:
                    return
                if self._alarm.wait(conn, self._round(), self._stop.is_set):
                    self._hurry()
        finally:
            self._resign()

    def _look(self) -> None:
        """Take on the pools that are new."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_EVERY
        for pool in self._find(self._conn):
            duty = None if pool.name in self._duties else self._make(pool)
            if duty:
                duty.use(self._conn)
                self._duties[pool.name] = duty

    def _round(self) -> float:
        """Let each pool do what is due; return the seconds until the next one."""
        for name, duty in list(self._duties.items()):
            if duty.has_news or self._due_at.get(name, 0.0) <= time.monotonic():
                self._due_at[name] = time.monotonic() + self._tick(duty)
            if duty.is_over:
                del self._duties[name]
                self._due_at.pop(name, None)
        ends = [*self._due_at.values(), self._look_at]
        return max(0.0, min(ends) - time.monotonic())

    def _tick(self, duty: PoolDuty) -> float:
        try:
            return duty.tick()
        except Superseded:
            log.info("%s: another process runs this pool now", duty.name)
            duty.use(self._conn)
            return terms.RENEW_EVERY
        except (DatabaseUnavailable, psycopg.OperationalError):
            raise
        except Exception:
            # A bug, or something of a newer version: the other pools go on.
            log.exception("%s: it failed and starts again", duty.name)
            if self._conn.closed:
                raise
            duty.resign()
            duty.use(self._conn)
            return AFTER_ERROR

    def _hurry(self) -> None:
        soon = time.monotonic() + HURRY_AFTER
        self._look_at = min(self._look_at, soon)
        for name, duty in self._duties.items():
            due = max(soon, time.monotonic() + duty.hurry())
            self._due_at[name] = min(self._due_at.get(name, due), due)

    def _resign(self) -> None:
        if not self._conn.closed:
            for duty in self._duties.values():
                duty.resign()
