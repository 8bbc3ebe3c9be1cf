"""The duty to submit for one pool: its allocations are watched, and as many are submitted or withdrawn as decided."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.errors import OrchestraError
from orchestra.domain.human import one_line
from orchestra.domain.models.pools import Decision, Pool, Refusal, Submission
from orchestra.domain.pools.decision import decide
from orchestra.pools import engine_thread
from orchestra.pools.engine_thread import Call
from orchestra.pools.engines import Engine, EngineSilent
from orchestra.pools.files import AllocationFiles
from orchestra.pools.watch import Said, Watch, has_unanswered
from orchestra.services.database import terms
from orchestra.services.pools import allocations
from orchestra.services.pools.situation import look
from orchestra.store.cluster import clock, cluster, leader
from orchestra.store.pools import allocations as store
from orchestra.store.pools import pools

DECIDE_EVERY = 1.0
"""Seconds between two decisions, if nothing calls for one earlier."""
DECIDE_IDLE_EVERY = 2.0
"""The same while there is neither an allocation nor work: work that appears is notified."""
PART_OF_TIME = 0.05
"""The part of its time that the process spends on decisions at most."""
LOOK_UP_EVERY = 10.0
"""Seconds between two questions about a submission that was not answered."""
RECORD_EVERY = 10.0
"""Seconds after which a decision that has not changed is recorded again, so that people see that somebody decides."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Means:
    """What the duty of a pool works with.

    Args:
        engine: the pool's.
        cluster: the id of the database's cluster.
        files: where its allocations' files are.
        submission: what the engine is asked to start for an allocation.
        configuration: what the pilots of an allocation need to know.
        who: this process, for people.
        account: the Unix account that submits.
        serves_all: its pilots run the jobs of all accounts.
        may_run: whether this process submits for a pool with this owner.
        poll: seconds between two questions about all allocations.
        wake: wakes the thread of the duty.
    """

    engine: Engine
    cluster: str
    files: AllocationFiles
    submission: Callable[[Pool, UUID], Submission]
    configuration: Callable[[Pool, UUID], Mapping[str, object]]
    who: str
    account: str
    serves_all: bool
    may_run: Callable[[str | None], bool]
    poll: float
    wake: Callable[[], None]


Then = Callable[[Pool, object | None, Exception | None], None]
"""What follows from an answer of the engine: its result, or the exception that it raised."""


class PoolDuty:
    """Holds the term of one pool, and does what follows. One call of the engine at a time."""

    _conn: psycopg.Connection

    def __init__(
        self, name: str, means: Means, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self._means, self._clock = name, means, clock
        self._term = terms.TermHolder(leader.duty_of_pool(name), name=means.who)
        self.is_over = False
        self._refused: str | None = ""
        """Whose pool this process was not allowed to run last; "" for nobody's, None for the admins'."""
        self._forget()

    def _forget(self) -> None:
        """Begin anew: another process may have run the pool meanwhile."""
        self._call: Call[object] | None = None
        self._then: Then = _nothing
        self._submitting: UUID | None = None
        self._watch = Watch(self._means.who)
        self._status_at = self._decide_at = self._recorded_at = self._rested_at = 0.0

    def use(self, conn: psycopg.Connection) -> None:
        """Continue on a new connection, without a term."""
        self._conn = conn
        self._term.use(conn)
        leader.create(conn, leader.duty_of_pool(self.name))
        self._forget()

    def hurry(self) -> float:
        """Decide as soon as possible, because something has changed; return the seconds until then."""
        self._decide_at = min(self._decide_at, max(self._clock(), self._rested_at))
        return max(0.0, self._decide_at - self._clock())

    @property
    def has_news(self) -> bool:
        """Whether the engine has answered since the last tick."""
        return self._call is not None and self._call.is_over

    def resign(self) -> None:
        """Leave the pool to another process; its allocations go on."""
        self._term.resign()

    def tick(self) -> float:
        """Do what is due; return the seconds until the next time."""
        is_held = self._term.hold()
        pool = pools.by_name(self._conn, self.name)
        if pool is None:
            self.is_over = True
            self._term.lost()
            return 0.0
        if not is_held:
            self._forget()
            leader.create(self._conn, leader.duty_of_pool(self.name))  # it goes with a pool
            return self._term.seconds_until_free()
        if not self._means.may_run(pool.owner):
            self._term.resign()
            if self._refused != pool.owner:
                self._refused = pool.owner
                whose, who = pool.owner or "the admins", self._means.who
                log.warning("%s: it belongs to %s, and is not run by %s", pool.name, whose, who)
            return terms.TERM_SECONDS
        self._refused = ""
        return self._serve(pool)

    def _serve(self, pool: Pool) -> float:
        now = clock.now(self._conn)
        if self._call and self._call.is_over:
            self._take(pool)
            pool = pools.by_name(self._conn, self.name) or pool
        self._watch.observe(self._conn, self._transact, pool, now)
        pool = pools.by_name(self._conn, self.name) or pool
        if self._call:
            return terms.RENEW_EVERY / 2
        return 0.0 if self._act(pool, now) else self._pause(pool)

    def _pause(self, pool: Pool) -> float:
        """Return the seconds until something is due again."""
        due = min(self._decide_at, self._next_status(pool)) - self._clock()
        return max(0.02, min(due, terms.RENEW_EVERY / 2 if pool.live else terms.RENEW_EVERY))

    def _transact(self, step: Callable[[], object]) -> None:
        self._term.transact(lambda: bool(step()))

    def _start(self, call: Callable[[], object], then: Then) -> None:
        self._then = then
        self._call = engine_thread.start(call, self._means.wake, name=f"engine of {self.name}")

    def _take(self, pool: Pool) -> None:
        call, self._call = self._call, None
        if call:
            if call.error and not isinstance(call.error, EngineSilent):
                log.error("%s: its engine failed", self.name, exc_info=call.error)
            if self._then is not _nothing:
                self._note_silence(pool, call.error)
            self._then(pool, call.result, call.error)

    def _note_silence(self, pool: Pool, error: Exception | None) -> None:
        """Record whether the engine answers."""
        words = one_line(str(error), 300) if isinstance(error, EngineSilent) else None
        if words != pool.silence:
            self._transact(lambda: pools.note_silence(self._conn, pool.id, words))

    def _act(self, pool: Pool, now: datetime) -> bool:
        """Do the next thing that is due; whether there was one."""
        if pool.account != self._means.account or pool.serves_all != self._means.serves_all:
            self._transact(lambda: self._set_account(pool))
        if self._cancel_what_is_due(pool, now):
            return True
        if self._clock() >= self._next_status(pool):
            self._ask(pool)
            return True
        if self._watch.has_ended:
            self._tidy(pool)
            return True
        if pool.deletion and not pool.live:
            self._delete(pool)
            return True
        if self._clock() < self._decide_at or cluster.is_recovering(self._conn):
            return False
        return self._decide(pool, now)

    def _ask(self, pool: Pool) -> None:
        """Ask about all allocations in one call. Whatever has changed since then is found out next time."""
        means = self._means
        self._status_at = self._clock()
        call = self._watch.question(
            self._conn, pool, means.engine, means.files, but=self._submitting
        )

        def then(_pool: Pool, said: object | None, error: Exception | None) -> None:
            if isinstance(said, Said):
                self._watch.learn(said)
            elif error:
                log.warning("%s: %s", self.name, error)

        if call:
            self._start(call, then)

    def _tidy(self, pool: Pool) -> None:
        """Delete the files of allocations that have ended."""
        keep, means = {each.id for each in pool.live}, self._means
        self._watch.has_ended = False
        self._start(lambda: means.files.sweep(keep, means.cluster), _nothing)

    def _set_account(self, pool: Pool) -> None:
        means = self._means
        store.set_account(self._conn, pool.id, means.account, serves_all=means.serves_all)

    def _delete(self, pool: Pool) -> None:
        self._transact(lambda: allocations.delete(self._conn, pool, self._means.who))
        self.is_over = True
        log.info("%s: deleted", pool.name)

    def _next_status(self, pool: Pool) -> float:
        is_urgent = has_unanswered(pool.live, but=self._submitting)
        poll = self._means.poll
        return self._status_at + (min(LOOK_UP_EVERY, poll) if is_urgent else poll)

    def _cancel_what_is_due(self, pool: Pool, now: datetime) -> bool:
        ids, remove = self._watch.to_cancel(self._conn, pool, now)
        if not ids and not remove:
            return False
        engine, pending_only = self._means.engine, pool.deletion != "now"

        def call() -> None:
            if ids:
                engine.cancel(ids, pending_only=pending_only)
            if remove:
                engine.cancel(remove, pending_only=False)

        def then(_pool: Pool, _result: object | None, error: Exception | None) -> None:
            if error:  # it is asked again after its next answer
                log.warning("%s: %s", self.name, error)

        log.info("%s: cancels %s", pool.name, ", ".join(sorted(ids | remove)))
        self._start(call, then)
        return True

    def _decide(self, pool: Pool, now: datetime) -> bool:
        began = self._clock()
        found, has_work = look(self._conn, pool, now)
        self._watch.work_since = (self._watch.work_since or now) if has_work else None
        decision = decide(found)
        ended = self._clock()
        self._rested_at = ended + (ended - began) / PART_OF_TIME
        pause = DECIDE_EVERY if pool.live or found.loads else DECIDE_IDLE_EVERY
        self._decide_at = max(ended + pause, self._rested_at)
        self._record(pool, decision)
        if pool.deletion:
            how = pool.deletion
            return self._term.transact(lambda: allocations.end_all(self._conn, pool, how))
        if decision.withdraw:
            self._transact(lambda: allocations.withdraw(self._conn, decision.withdraw))
            return True
        if decision.submit and not has_unanswered(pool.live):
            self._submit(pool)
            return True
        return False

    def _record(self, pool: Pool, decision: Decision) -> None:
        if decision.why != (pool.decision.why if pool.decision else None):
            log.info("%s: %s", pool.name, decision.why)
        is_due = self._clock() - self._recorded_at >= RECORD_EVERY
        if decision != pool.decision or is_due:
            self._transact(lambda: store.set_decision(self._conn, pool.id, decision))
            self._recorded_at = self._clock()

    def _submit(self, pool: Pool) -> None:
        """Submit one allocation. Its row is committed first, so that whatever happens it is looked up."""
        allocation = allocations.new_id()
        self._transact(lambda: allocations.reserve(self._conn, pool, allocation))
        self._submitting = allocation
        means = self._means

        def call() -> str | Refusal:
            try:
                means.files.write(allocation, means.configuration(pool, allocation))
            except OSError as error:
                return Refusal(f"{error.filename}: {error.strerror}")
            except OrchestraError as error:
                return Refusal(str(error))
            return means.engine.submit(means.submission(pool, allocation))

        def then(pool: Pool, answer: object | None, error: Exception | None) -> None:
            self._submitting = None
            self._take_submission(pool, allocation, answer, error)

        self._start(call, then)

    def _take_submission(
        self, pool: Pool, allocation: UUID, answer: object | None, error: Exception | None
    ) -> None:
        now = clock.now(self._conn)
        if isinstance(answer, str):
            engine_id = answer
            log.info("%s: submitted %s", pool.name, engine_id)
            if not self._term.transact(
                lambda: allocations.accepted(self._conn, pool, allocation, engine_id)
            ):
                self._watch.remove(engine_id)
            self.hurry()
        elif isinstance(answer, Refusal):
            refusal = answer
            log.warning("%s: refused: %s", pool.name, refusal.words)
            self._transact(lambda: allocations.refused(self._conn, pool, allocation, refusal, now))
            self._watch.has_ended = True
        else:
            words = f"The engine has not answered a submission: {error}"
            self._transact(lambda: allocations.unanswered(self._conn, pool, words, now))


def _nothing(_pool: Pool, _result: object | None, _error: Exception | None) -> None:
    """Without a call, nothing follows from it."""
