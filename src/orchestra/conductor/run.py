"""The conductor: whoever holds the term carries out the duties, one after the other, again and again."""

from __future__ import annotations

import logging
import random
import select
import threading
import time
from collections.abc import Callable
from functools import partial
from uuid import uuid4

import psycopg

from orchestra.conductor import floors, leases, order, silence
from orchestra.conductor.estimates import Estimates
from orchestra.conductor.isolation import Isolation
from orchestra.conductor.lifecycle import advance
from orchestra.conductor.live_tasks import LiveTasks
from orchestra.conductor.notify import Post, Postman
from orchestra.conductor.retention import Retention
from orchestra.conductor.wakeups import Wakeups
from orchestra.domain import troubles
from orchestra.domain.errors import DatabaseUnavailable, Superseded
from orchestra.domain.leases import MARGIN
from orchestra.domain.lifecycle import CHUNK
from orchestra.domain.retention import DEFAULT_RETENTION, RetentionPolicy
from orchestra.domain.states import Queue
from orchestra.domain.troubles import Stuck, Trouble
from orchestra.services import lifecycle, settling
from orchestra.store import attempts, clock, cluster, leader, moves
from orchestra.store.database import in_transaction

TERM_SECONDS = 4.0
"""A term that is not renewed for this long is over: another process acts within 5 s."""
RENEW_EVERY = 1.0
AWAY_AT_MOST = 3.0
"""Between two tries to connect."""
LEASES_EVERY = 5.0
BUSY_PAUSE = 0.2
"""Between looks while tasks live: no report wakes the conductor."""
BREATH = 0.02
"""After a round that gave others something to do: it is theirs to use the processors now."""
PURGE_ROWS = 2_000
PURGE_EVERY = 5.0
"""Between looks for deleted tasks, once the last ones' rows are gone."""
TROUBLES_KEPT = 100

log = logging.getLogger(__name__)


def run(
    connect: Callable[[], psycopg.Connection],
    stop: threading.Event,
    *,
    name: str,
    preferred: bool = False,
    margin: float = MARGIN,
    patience: float = settling.PATIENCE,
    post: Post | None = None,
    keep: RetentionPolicy = DEFAULT_RETENTION,
    say: Callable[[Trouble | None], None] = lambda _: None,
) -> None:
    """Be the conductor, or wait to be, until `stop` is set. Survives the database's absence.

    Args:
        connect: gives a new connection.
        name: shown to people, the node's for a pilot.
        preferred: takes the duty from one that does not prefer it.
        margin: seconds beyond lease and grace before a silent keeper is given up.
        patience: seconds that a replaced database waits for pilots that it does not know of.
        post: how it sends mail; without it others have to.
        keep: for how long what is over is kept.
        say: told what does not go on, and None when all does again.
    """
    pause = 0.5
    postman = Postman(post, connect) if post else None
    conductor = Conductor(
        stop,
        name=name,
        preferred=preferred,
        margin=margin,
        patience=patience,
        postman=postman,
        keep=keep,
        say=say,
    )
    while not stop.is_set():
        try:
            with connect() as conn:
                pause = 0.5
                conductor.serve(conn)
        except (DatabaseUnavailable, psycopg.Error) as error:
            log.warning("conductor: %s", error)
        except Exception as error:
            # A mistake of ours, or something of a newer version: no reason for a cluster to be without a conductor.
            log.exception("conductor: it failed, and begins anew")
            say(troubles.conductor_failed(str(error)))
        else:
            continue
        stop.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - so that many do not come at once
        pause = min(pause * 2, AWAY_AT_MOST)


class Conductor:
    """A process's conducting, over one connection after the other."""

    _conn: psycopg.Connection

    def __init__(
        self,
        stop: threading.Event,
        *,
        name: str,
        preferred: bool = False,
        margin: float = MARGIN,
        patience: float = settling.PATIENCE,
        postman: Postman | None = None,
        keep: RetentionPolicy = DEFAULT_RETENTION,
        say: Callable[[Trouble | None], None] = lambda _: None,
    ) -> None:
        self._stop = stop
        self._say = say
        self._said: tuple[Stuck, ...] | None = None
        self._noted: tuple[Stuck, ...] = ()
        self._isolation = Isolation()
        self._postman = postman
        self._name = name
        self._preferred = preferred
        self._margin, self._patience = margin, patience
        self._retention = Retention(keep)
        self._holder = str(uuid4())
        self._term: leader.Term | None = None
        self._beat = 0
        self._renewed_at = 0.0
        self._guard_at = self._purge_at = 0.0
        self._wakeups = Wakeups(lambda queue: moves.wake_workers(self._conn, queue))
        self._live = LiveTasks()
        self._lookout = floors.Lookout()
        self._estimates = Estimates()
        self._failed = 0

    def serve(self, conn: psycopg.Connection) -> None:
        """Hold the term and carry out the duties until asked to stop; the term is given back at the end."""
        self._begin(conn)
        try:
            while not self._stop.is_set():
                self._wait(self._tick())
        finally:
            if self._term and not self._conn.closed:
                self._send_the_last_mail()
                self._term.resign(self._conn)

    def _begin(self, conn: psycopg.Connection) -> None:
        self._conn, self._term, self._said = conn, None, None
        self._live.look_at_all()
        leader.set_limits(conn)
        conn.execute(f"listen {lifecycle.CONDUCTOR}")

    def _tick(self) -> float:
        """Carry out every duty once; gives the seconds until the next time."""
        try:
            if not self._hold_term():
                return self._until_free()
            return self._duties()
        except Superseded:
            log.info("conductor: another process has taken over")
            self._term = None
            return RENEW_EVERY

    def _until_free(self) -> float:
        # Not all at once, and so that two that start together do not march in step.
        jitter = random.uniform(0.02, 0.2)  # noqa: S311 - no secret
        return min(leader.free_in(self._conn), RENEW_EVERY) + jitter

    def _duties(self) -> float:
        if cluster.is_settling(self._conn) and not self._settle():
            return RENEW_EVERY
        self._guard_leases()
        before = tasks = self._live.read(self._conn, self._cannot_read)
        woken = advance(self._conn, self._transact, tasks, self._wakeups, self._isolation)
        if tasks:
            tasks = self._live.read(self._conn, self._cannot_read)
            self._live.compare(before, tasks)
            self._alone("the order of tasks", lambda: self._write_order(tasks, woken))
            self._alone("jobs to be tried again", lambda: self._end_back_off(woken))
            self._alone("what jobs take", lambda: self._learn(tasks))
            look = partial(self._lookout.look, self._conn, self._transact, tasks, time.monotonic())
            dropped = self._isolation.attempt(self._conn, "floors", look)
            self._wakeups.appeared(*(dropped or ()))
        self._wakeups.flush(self._stop.wait)
        at_once = not {task.id for task in before} <= {task.id for task in tasks}
        self._isolation.attempt(self._conn, "mail", lambda: self._send_mail(at_once=at_once))
        purged = self._isolation.attempt(
            self._conn, "what is left of deleted tasks", self._purge_now_and_then
        )
        self._retention.tick(self._conn, self._transact, self._isolation)
        self._tell_troubles()
        moving = any(task.facts.pending_operation for task in tasks)
        if moving or purged:
            return 0.0
        if woken or self._more_fail(tasks):
            return BREATH
        return BUSY_PAUSE if tasks else RENEW_EVERY

    def _more_fail(self, tasks: list[moves.LiveTask]) -> bool:
        """Whether more jobs have failed of late of tasks that too many failures hold: the next look is soon."""
        limited = [task.facts for task in tasks if task.facts.max_fails and not task.facts.held]
        before, self._failed = self._failed, sum(facts.counts.failed for facts in limited)
        return self._failed > before

    def _cannot_read(self, task: int, error: Exception) -> None:
        def fail() -> None:
            raise error

        self._isolation.attempt(self._conn, task, fail)

    def _alone(self, duty: str, step: Callable[[], bool]) -> None:
        """Carry out a duty in a transaction of its own that need not reach the disk; it keeps no other."""

        def quickly() -> bool:
            leader.do_not_wait_for_disk(self._conn)
            return step()

        self._isolation.attempt(self._conn, duty, lambda: self._transact(quickly))

    def _tell_troubles(self) -> None:
        stuck = self._isolation.lasting
        if stuck != self._said:
            self._said = stuck
            self._say(troubles.conductor_stuck(stuck))
        kept = stuck[:TROUBLES_KEPT]
        if self._term and kept != self._noted:
            self._term.note_stuck(self._conn, kept)
            self._noted = kept

    def _settle(self) -> bool:
        return self._transact(lambda: settling.settle(self._conn, patience=self._patience))

    def _guard_leases(self) -> None:
        if time.monotonic() >= self._guard_at:
            self._guard_at = time.monotonic() + LEASES_EVERY
            transact, attempt = self._transact, self._isolation.attempt
            attempt(self._conn, "the clock", lambda: transact(lambda: clock.bring_back(self._conn)))
            guard = partial(leases.guard, self._conn, transact, margin=self._margin)
            attempt(self._conn, "leases", guard)
            attempt(self._conn, "silent nodes", lambda: silence.notice(self._conn, transact))

    def _send_mail(self, *, at_once: bool) -> None:
        """Have mail sent that is due; where a task has just ended, some is."""
        if self._postman and self._term:
            self._postman.tick(self._conn, self._term.check, at_once=at_once)

    def _send_the_last_mail(self) -> None:
        """What the last task of a machine comes to is told before everything stops."""
        postman, term = self._postman, self._term
        if postman is None or term is None or not self._stop.is_set():
            return
        if self._renew() and not cluster.is_settling(self._conn):
            postman.finish(self._conn, term.check)

    def _purge_now_and_then(self) -> bool:
        if time.monotonic() < self._purge_at:
            return False
        purged = self._transact(self._purge)
        self._purge_at = 0.0 if purged else time.monotonic() + PURGE_EVERY
        return purged

    def _purge(self) -> bool:
        leader.do_not_wait_for_disk(self._conn)
        return moves.purge_deleted(self._conn, PURGE_ROWS)

    def _write_order(self, tasks: list[moves.LiveTask], woken: set[Queue]) -> bool:
        """Write the order of tasks; adds to `woken` where work has appeared.

        Pilots that are to hear of new work find it in this order.
        """
        fresh = order.rerank(self._conn, tasks)
        woken |= fresh
        self._wakeups.appear(*fresh | self._wakeups.due)
        return True

    def _end_back_off(self, woken: set[Queue]) -> bool:
        """Let jobs be claimed whose time to be tried again has come; adds to `woken` as `_write_order` does."""
        fresh = attempts.end_back_off(self._conn, CHUNK)
        woken |= fresh
        self._wakeups.appear(*fresh)
        return True

    def _learn(self, tasks: list[moves.LiveTask]) -> bool:
        self._estimates.learn(self._conn, tasks)
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
                self._take_up(self._term)
        return self._term is not None

    def _take_up(self, term: leader.Term) -> None:
        """Look whether this is the database that it was."""
        self._noted = ()
        self._transact(lambda: bool(settling.look(self._conn, who=self._name)))
        self._note_beat(term.beat)

    def _note_beat(self, beat: int) -> None:
        """Notice a database that went back in time: this number only grows."""
        went_back, self._beat = beat <= self._beat, beat
        if went_back:
            self._transact(lambda: bool(settling.begin(self._conn, settling.OLDER, who=self._name)))

    def _renew(self) -> bool:
        self._renewed_at = time.monotonic()
        beat = self._term.renew(self._conn, TERM_SECONDS) if self._term else None
        if beat is None:
            return False
        self._note_beat(beat)
        return True

    def _transact(self, step: Callable[[], bool]) -> bool:
        """Run a step in a transaction of its own that holds the term."""
        term = self._term
        if term is None:
            raise Superseded

        def guarded() -> bool:
            self._wakeups.begin()
            term.check(self._conn)
            return step()

        if time.monotonic() - self._renewed_at >= RENEW_EVERY and not self._renew():
            raise Superseded
        result = in_transaction(self._conn, guarded)
        self._wakeups.committed()
        return result

    def _wait(self, seconds: float) -> None:
        """Sleep until a command has changed something, or for so long."""
        deadline = time.monotonic() + seconds
        while not self._stop.is_set():
            for notice in self._conn.notifies(timeout=0):
                if notice.pid != self._conn.info.backend_pid:
                    self._live.look_at_all()
                    return
                deadline = min(deadline, time.monotonic() + BREATH)  # a step of our own
            if (left := deadline - time.monotonic()) <= 0:
                return
            # Short enough to notice `stop`, which nothing else announces.
            if select.select([self._conn.fileno()], [], [], min(left, 0.5))[0]:
                continue
