"""The conductor: the process that holds the term carries out the duties, one after the other, round after round."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import psycopg

from orchestra.conductor import leases, silent_nodes
from orchestra.conductor.claim_cursors import CursorResets
from orchestra.conductor.estimates import Estimates
from orchestra.conductor.isolation import Isolation
from orchestra.conductor.lifecycle import advance
from orchestra.conductor.mailer import Mailer
from orchestra.conductor.order import TaskOrder
from orchestra.conductor.retention import Retention
from orchestra.conductor.successors import Successors
from orchestra.conductor.task_reader import TaskReader
from orchestra.conductor.term import RENEW_EVERY, TermHolder
from orchestra.conductor.wakeups import Wakeups
from orchestra.domain import troubles
from orchestra.domain.errors import Superseded
from orchestra.domain.leases import MARGIN
from orchestra.domain.lifecycle import CHUNK
from orchestra.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Stuck, Trouble
from orchestra.services.database import recovery
from orchestra.services.nodes import drains
from orchestra.store.cluster import clock, cluster, leader
from orchestra.store.driver import channels
from orchestra.store.tasks import live_tasks, purge
from orchestra.store.work import attempts

LEASES_EVERY = 5.0
BUSY_PAUSE = 0.2
"""Seconds between two rounds while there are live tasks: reports do not wake the conductor."""
SHORT_PAUSE = 0.02
"""Seconds after a round that made work for other processes, so that it does not compete with them."""
PURGE_ROWS = 2_000
PURGE_EVERY = 5.0
"""Seconds between two searches for deleted tasks, once the rows of the last ones are gone."""
STUCK_KEPT = 100

T = TypeVar("T")

log = logging.getLogger(__name__)


class Conductor:
    """The duties of one process, over one connection after the other."""

    _conn: psycopg.Connection

    def __init__(
        self,
        stop: threading.Event,
        *,
        name: str,
        preferred: bool = False,
        margin: float = MARGIN,
        patience: float = recovery.PATIENCE,
        mailer: Mailer | None = None,
        keep: RetentionPolicy = DEFAULT_RETENTION,
        say: Callable[[Trouble | None], None] = lambda _: None,
    ) -> None:
        self._stop, self._say = stop, say
        self._margin, self._patience = margin, patience
        self._wakeups = Wakeups(lambda queue: channels.notify_workers(self._conn, queue))
        self._term = TermHolder(self._wakeups, name=name, preferred=preferred)
        self._isolation = Isolation()
        self._mailer = mailer
        self._retention = Retention(keep)
        self._reader = TaskReader()
        self._cursor_resets = CursorResets()
        self._order = TaskOrder()
        self._estimates = Estimates()
        self._successors = Successors()
        self._said: tuple[Stuck, ...] | None = None
        self._leases_at = self._purge_at = 0.0
        self._failed_jobs = 0

    def serve(self, conn: psycopg.Connection) -> None:
        """Hold the term and carry out the duties until `stop` is set; resign at the end."""
        self._begin(conn)
        try:
            while not self._stop.is_set():
                self._wait(self._tick())
        finally:
            if not self._conn.closed:
                self._send_last_mail()
                self._term.resign()

    def _begin(self, conn: psycopg.Connection) -> None:
        self._conn, self._said = conn, None
        self._reader.read_all_next()
        self._order.forget()
        self._term.use(conn)
        channels.listen_as_conductor(conn)

    def _tick(self) -> float:
        """Carry out every duty once; return the seconds until the next round."""
        try:
            if not self._term.hold():
                self._order.forget()
                return self._term.seconds_until_free()
            return self._round()
        except Superseded:
            log.info("conductor: another process has taken over")
            self._term.lost()
            return RENEW_EVERY

    def _round(self) -> float:
        if cluster.is_recovering(self._conn) and not self._settle():
            return RENEW_EVERY
        self._expire_leases()
        before = tasks = self._reader.read(self._conn, self._note_unreadable)
        woken = advance(self._conn, self._term.transact, tasks, self._wakeups, self._isolation)
        if tasks:
            tasks = self._reader.read(self._conn, self._note_unreadable)
            self._reader.observe(before, tasks)
            self._serve_tasks(tasks, woken)
        self._wakeups.flush(self._stop.wait)
        at_once = not {task.id for task in before} <= {task.id for task in tasks}
        self._attempt("mail", lambda: self._send_mail(at_once=at_once))
        purged = self._attempt("deleted tasks", self._purge_when_due)
        self._retention.tick(self._conn, self._term.transact, self._isolation)
        self._report_stuck()
        if purged or any(task.facts.pending_operation for task in tasks):
            return 0.0
        if woken or self._more_have_failed(tasks):
            return SHORT_PAUSE
        return BUSY_PAUSE if tasks else RENEW_EVERY

    def _serve_tasks(self, tasks: list[live_tasks.LiveTask], woken: set[Queue]) -> None:
        """Carry out the duties for live tasks; adds to `woken` the queues in which work has appeared."""
        self._attempt_step("task order", lambda: self._rerank(tasks, woken))
        self._attempt_step("reservations", lambda: self._reserve(tasks, woken))
        self._attempt_step("retries", lambda: self._end_back_off(woken))
        self._attempt_step("duration estimates", lambda: self._estimate(tasks))
        reset = partial(
            self._cursor_resets.tick, self._conn, self._term.transact, tasks, time.monotonic()
        )
        self._wakeups.add(*(self._attempt("claim cursors", reset) or ()))
        left = self._attempt("successors", lambda: self._successors.tick(self._conn, tasks))
        self._wakeups.add(*(left or ()))

    def _attempt(self, duty: str, call: Callable[[], T]) -> T | None:
        return self._isolation.attempt(self._conn, duty, call)

    def _attempt_step(self, duty: str, step: Callable[[], bool]) -> None:
        """Carry out a duty in a transaction of its own whose commit does not wait for the disk."""

        def quickly() -> bool:
            leader.do_not_wait_for_disk(self._conn)
            return step()

        self._attempt(duty, lambda: self._term.transact(quickly))

    def _more_have_failed(self, tasks: list[live_tasks.LiveTask]) -> bool:
        """Whether jobs have failed since the last round, of tasks with a limit: it must take effect soon."""
        limited = [task.facts for task in tasks if task.facts.max_fails and not task.facts.held]
        before, self._failed_jobs = self._failed_jobs, sum(f.counts.failed for f in limited)
        return self._failed_jobs > before

    def _note_unreadable(self, task: int, error: Exception) -> None:
        def fail() -> None:
            raise error

        self._isolation.attempt(self._conn, task, fail)

    def _report_stuck(self) -> None:
        stuck = self._isolation.stuck
        if stuck != self._said:
            self._said = stuck
            self._say(troubles.conductor_stuck(stuck))
        self._term.publish_stuck(stuck[:STUCK_KEPT])

    def _settle(self) -> bool:
        return self._term.transact(lambda: recovery.settle(self._conn, patience=self._patience))

    def _expire_leases(self) -> None:
        if time.monotonic() < self._leases_at:
            return
        self._leases_at = time.monotonic() + LEASES_EVERY
        conn, transact = self._conn, self._term.transact
        self._attempt("clock", lambda: transact(lambda: clock.bring_back(conn)))
        self._attempt("leases", lambda: leases.expire(conn, transact, margin=self._margin))
        self._attempt("planned drains", lambda: transact(lambda: drains.carry_out(conn)))
        self._attempt("silent nodes", lambda: silent_nodes.notify(conn, transact))

    def _send_mail(self, *, at_once: bool) -> None:
        if self._mailer:
            self._mailer.tick(self._conn, self._term.check, at_once=at_once)

    def _send_last_mail(self) -> None:
        """Send the notifications about the last tasks before this process ends."""
        if self._mailer is None or not self._stop.is_set():
            return
        if self._term.renew() and not cluster.is_recovering(self._conn):
            self._mailer.finish(self._conn, self._term.check)

    def _purge_when_due(self) -> bool:
        if time.monotonic() < self._purge_at:
            return False
        purged = self._term.transact(self._purge)
        self._purge_at = 0.0 if purged else time.monotonic() + PURGE_EVERY
        return purged

    def _purge(self) -> bool:
        leader.do_not_wait_for_disk(self._conn)
        return purge.purge_deleted(self._conn, PURGE_ROWS)

    def _rerank(self, tasks: list[live_tasks.LiveTask], woken: set[Queue]) -> bool:
        """Rank the tasks. Pilots are woken with the same transaction, so that they find new work in this order."""
        fresh = self._order.rerank(self._conn, tasks)
        woken |= fresh
        self._wakeups.wake_on_commit(*fresh | self._wakeups.due)
        return True

    def _reserve(self, tasks: list[live_tasks.LiveTask], woken: set[Queue]) -> bool:
        """Reserve nodes for jobs that fit on none now. Pilots of nodes that wait no longer are woken."""
        fresh = self._order.reserve(self._conn, tasks)
        woken |= fresh
        self._wakeups.wake_on_commit(*fresh)
        return True

    def _end_back_off(self, woken: set[Queue]) -> bool:
        """Make jobs claimable whose pause before a retry is over."""
        fresh = attempts.end_back_off(self._conn, CHUNK)
        woken |= fresh
        self._wakeups.wake_on_commit(*fresh)
        return True

    def _estimate(self, tasks: list[live_tasks.LiveTask]) -> bool:
        self._estimates.tick(self._conn, tasks)
        return True

    def _wait(self, seconds: float) -> None:
        """Sleep until a command has changed something, for at most `seconds`."""
        deadline = time.monotonic() + seconds
        while not self._stop.is_set():
            for notice in self._conn.notifies(timeout=0):
                if notice.pid != self._conn.info.backend_pid:
                    self._reader.read_all_next()
                    return
                deadline = min(deadline, time.monotonic() + SHORT_PAUSE)  # from this connection
            if (left := deadline - time.monotonic()) <= 0:
                return
            # Short enough to notice `stop`, which wakes nothing.
            if select.select([self._conn.fileno()], [], [], min(left, 0.5))[0]:
                continue
