"""The duty to submit for one pool: its allocations are watched, and as many are submitted or withdrawn as decided."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import psycopg

from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    Decision,
    EngineSays,
    Pool,
    Refusal,
    Submission,
    submission_name,
)
from orchestra.domain.pools import life
from orchestra.domain.pools.decision import decide
from orchestra.domain.pools.life import Answers, Leftover, Pilots
from orchestra.pools import engine_thread
from orchestra.pools.engine_thread import Call
from orchestra.pools.engines import Engine, EngineSilent
from orchestra.pools.files import AllocationFiles
from orchestra.services.database import terms
from orchestra.services.nodes import fencing
from orchestra.services.pools import allocations
from orchestra.services.pools.situation import look
from orchestra.store.cluster import clock, leader
from orchestra.store.pools import allocations as store
from orchestra.store.pools import pools

DECIDE_EVERY = 1.0
"""Seconds between two decisions, if nothing calls for one earlier."""
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


@dataclass(frozen=True, slots=True)
class _Said:
    """What the engine said when it was asked for its allocations."""

    reports: EngineSays
    kills_all: bool


class PoolDuty:
    """Holds the term of one pool, and does what follows. One call of the engine at a time."""

    _conn: psycopg.Connection

    def __init__(
        self, name: str, means: Means, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name, self._means, self._clock = name, means, clock
        self._term = terms.TermHolder(leader.duty_of_pool(name), name=means.who)
        self.is_over = False
        self._forget()

    def _forget(self) -> None:
        """Begin anew: another process may have run the pool meanwhile."""
        self._call: Call[object] | None = None
        self._then: Callable[[Pool, object | None, Exception | None], None] = _nothing
        self._answers: dict[UUID, Answers] = {}
        self._asked_to_end: set[UUID] = set()
        self._kills_all = False
        self._submitting: UUID | None = None
        self._live: dict[UUID, Allocation] = {}
        self._leftovers: dict[UUID, Leftover] = {}
        self._to_remove: set[str] = set()
        self._tidies = True
        self._status_at = self._decide_at = self._recorded_at = 0.0
        self._work_since: datetime | None = None
        self._decision: Decision | None = None

    def use(self, conn: psycopg.Connection) -> None:
        """Continue on a new connection, without a term."""
        self._conn = conn
        self._term.use(conn)
        leader.create(conn, leader.duty_of_pool(self.name))
        self._forget()

    def hurry(self) -> None:
        """Decide at once: something has changed."""
        self._decide_at = min(self._decide_at, self._clock())

    @property
    def has_news(self) -> bool:
        """Whether the engine has answered since the last tick."""
        return self._call is not None and self._call.is_over

    def resign(self) -> None:
        """Leave the pool to another process; its allocations go on."""
        self._term.resign()

    def tick(self) -> float:
        """Do what is due; return the seconds until the next time."""
        if not self._term.hold():
            self._forget()
            return self._term.seconds_until_free()
        pool = pools.by_name(self._conn, self.name)
        if pool is None:
            self.is_over = True
            self._term.lost()
            return 0.0
        if not self._means.may_run(pool.owner):
            self._term.resign()
            log.warning(
                "%s: it belongs to %s, and is not run by %s", pool.name, pool.owner, self._means.who
            )
            return terms.TERM_SECONDS
        return self._serve(pool)

    def _serve(self, pool: Pool) -> float:
        now = clock.now(self._conn)
        if self._call and self._call.is_over:
            self._take(pool)
            pool = pools.by_name(self._conn, self.name) or pool
        self._watch(pool, now)
        pool = pools.by_name(self._conn, self.name) or pool
        if self._call:
            return terms.RENEW_EVERY / 2
        return 0.0 if self._act(pool, now) else self._pause(pool)

    def _pause(self, pool: Pool) -> float:
        """Return the seconds until something is due again."""
        due = min(self._decide_at, self._next_status(pool)) - self._clock()
        return max(0.02, min(due, terms.RENEW_EVERY / 2))

    def _transact(self, step: Callable[[], object]) -> None:
        self._term.transact(lambda: bool(step()))

    # What the engine said.

    def _start(
        self,
        call: Callable[[], object],
        then: Callable[[Pool, object | None, Exception | None], None],
    ) -> None:
        self._then = then
        self._call = engine_thread.start(call, self._means.wake, name=f"engine of {self.name}")

    def _take(self, pool: Pool) -> None:
        call, self._call = self._call, None
        if call:
            if call.error and not isinstance(call.error, EngineSilent):
                log.error("%s: its engine failed", self.name, exc_info=call.error)
            self._then(pool, call.result, call.error)

    def _ask_for_status(self, pool: Pool) -> None:
        """Ask about all allocations in one call. Whatever has changed since then is found out next time."""
        live = [each for each in pool.live if each.id != self._submitting]
        self._leftovers = {each.id: each for each in store.leftovers(self._conn, pool.id)}
        known = [(each.id, each.engine_id) for each in live]
        known += [(each.id, each.engine_id) for each in self._leftovers.values()]
        ids = {engine_id for _, engine_id in known if engine_id}
        names = {submission_name(key) for key, engine_id in known if not engine_id}
        engine = self._means.engine
        self._status_at = self._clock()

        def call() -> _Said:
            return _Said(engine.status(ids, names), engine.kills_all)

        def then(_pool: Pool, said: object | None, error: Exception | None) -> None:
            if isinstance(said, _Said):
                self._learn(live, said)
            elif error:
                log.warning("%s: %s", self.name, error)

        if ids or names:
            self._start(call, then)

    def _tidy(self, pool: Pool) -> None:
        """Delete the files of allocations that have ended."""
        keep, files = {each.id for each in pool.live}, self._means.files
        self._tidies = False
        cluster = self._means.cluster
        self._start(lambda: files.sweep(keep, cluster), _nothing)

    def _learn(self, asked_about: Sequence[Allocation], said: _Said) -> None:
        self._kills_all = said.kills_all
        by_name = {each.name: each for each in said.reports.values()}
        for each in asked_about:
            report = said.reports.get(each.engine_id) if each.engine_id else by_name.get(each.name)
            before = self._answers.get(each.id, Answers())
            self._answers[each.id] = before.with_report(report)
        self._asked_to_end.clear()
        for left in self._leftovers.values():
            report = said.reports.get(left.engine_id or "") or by_name.get(submission_name(left.id))
            if report and life.is_to_remove(left, report):
                self._to_remove.add(report.engine_id)

    # What has become of the allocations.

    def _watch(self, pool: Pool, now: datetime) -> None:
        pilots = store.pilots(self._conn, [each.id for each in pool.live])
        self._note_departures(pool, now)
        self._live = {each.id: each for each in pool.live}
        for each in pool.live:
            answers = self._answers.get(each.id, Answers())
            come = pilots.get(each.id, Pilots())
            if life.end_of(each, answers, come, now, kills_all=self._kills_all):
                self._end(pool, each, answers, now)
            else:
                self._keep(pool, each, answers, come, now)
        self._answers = {key: each for key, each in self._answers.items() if key in self._live}
        if pool.back_off.early_ends:
            self._transact(lambda: allocations.settle_back_off(self._conn, pool))

    def _keep(
        self, pool: Pool, old: Allocation, answers: Answers, pilots: Pilots, now: datetime
    ) -> None:
        new = life.after(old, answers, pilots, now, ends_running=pool.deletion == "now")
        if life.differs(old, new):
            self._transact(lambda: allocations.keep(self._conn, pool, old, new))
        report = answers.report
        if report and report.is_hopeless and not old.cancelled_at:
            words = life.says(report)
            log.warning("%s: paused: %s", pool.name, words)
            self._transact(lambda: allocations.give_up(self._conn, pool, old, words))

    def _end(self, pool: Pool, allocation: Allocation, answers: Answers, now: datetime) -> None:
        fenced: list[UUID] = []

        def step() -> bool:
            fenced[:] = allocations.end(
                self._conn,
                pool,
                allocation,
                answers,
                now,
                kills_all=self._kills_all,
                has_work=self._work_since is not None,
                who=self._means.who,
            )
            return True

        self._transact(step)
        self._live.pop(allocation.id, None)
        for keeper in fenced:
            fencing.requeue(self._conn, keeper, who=self._means.who)
        self._tidies = True

    def _note_departures(self, pool: Pool, now: datetime) -> None:
        """Note the allocations whose pilots have signed off, and whether they had no job although jobs waited."""
        gone = self._live.keys() - {each.id for each in pool.live}
        self._tidies = self._tidies or bool(gone)
        since = self._work_since
        fruitless = [
            key
            for key in gone
            if since and (began := self._live[key].started_at) and since <= began
        ]
        if fruitless and store.had_no_job(self._conn, fruitless):
            self._transact(lambda: allocations.left_early(self._conn, pool, now))

    # What is done next.

    def _act(self, pool: Pool, now: datetime) -> bool:
        """Do the next thing that is due; whether there was one."""
        if pool.account != self._means.account or pool.serves_all != self._means.serves_all:
            self._transact(lambda: self._set_account(pool))
        if pool.deletion and not pool.live:
            self._delete(pool)
            return True
        if self._cancel_what_is_due(pool, now):
            return True
        if self._clock() >= self._next_status(pool):
            self._ask_for_status(pool)
            return True
        if self._tidies:
            self._tidy(pool)
            return True
        if self._clock() < self._decide_at:
            return False
        return self._decide(pool, now)

    def _set_account(self, pool: Pool) -> None:
        means = self._means
        store.set_account(self._conn, pool.id, means.account, serves_all=means.serves_all)

    def _delete(self, pool: Pool) -> None:
        self._transact(lambda: allocations.delete(self._conn, pool, self._means.who))
        self._means.files.sweep((), self._means.cluster)
        self.is_over = True
        log.info("%s: deleted", pool.name)

    def _next_status(self, pool: Pool) -> float:
        if any(each.engine_id is None and each.id != self._submitting for each in pool.live):
            return self._status_at + min(LOOK_UP_EVERY, self._means.poll)
        return self._status_at + self._means.poll

    def _cancel_what_is_due(self, pool: Pool, now: datetime) -> bool:
        ends_running = pool.deletion == "now"
        pilots = store.pilots(self._conn, [each.id for each in pool.live if each.cancelled_at])
        due = [
            each
            for each in pool.live
            if each.id not in self._asked_to_end
            and life.is_to_cancel(
                each,
                self._answers.get(each.id, Answers()),
                pilots.get(each.id, Pilots()),
                now,
                ends_running=ends_running,
            )
        ]
        ids = {each.engine_id for each in due if each.engine_id}
        remove = set(self._to_remove)
        if not ids and not remove:
            return False
        self._to_remove.clear()
        self._asked_to_end |= {each.id for each in due}
        engine = self._means.engine

        def call() -> None:
            if ids:
                engine.cancel(ids, pending_only=not ends_running)
            if remove:
                engine.cancel(remove, pending_only=False)

        def then(_pool: Pool, _result: object | None, error: Exception | None) -> None:
            if error:
                log.warning(
                    "%s: %s", self.name, error
                )  # they are asked again after the next answer

        log.info("%s: cancels %s", pool.name, ", ".join(sorted(ids | remove)))
        self._start(call, then)
        return True

    def _decide(self, pool: Pool, now: datetime) -> bool:
        began = self._clock()
        found, has_work = look(self._conn, pool, now)
        self._work_since = (self._work_since or now) if has_work else None
        decision = decide(found)
        cost = self._clock() - began
        self._decide_at = self._clock() + max(DECIDE_EVERY, cost / PART_OF_TIME)
        self._record(pool, decision)
        if pool.deletion:
            how = pool.deletion
            return self._term.transact(lambda: allocations.end_all(self._conn, pool, how))
        if decision.withdraw:
            self._transact(lambda: allocations.withdraw(self._conn, decision.withdraw))
            return True
        if decision.submit and not self._has_unanswered(pool):
            self._submit(pool)
            return True
        return False

    def _has_unanswered(self, pool: Pool) -> bool:
        """Whether a submission is not answered yet: it is looked up before there is another one."""
        return any(each.state is AllocationState.SUBMITTING for each in pool.live)

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
            self._transact(lambda: allocations.accepted(self._conn, pool, allocation, engine_id))
            self.hurry()
        elif isinstance(answer, Refusal):
            refusal = answer
            log.warning("%s: refused: %s", pool.name, refusal.words)
            self._transact(lambda: allocations.refused(self._conn, pool, allocation, refusal, now))
            self._tidies = True
        else:
            words = f"The engine has not answered a submission: {error}"
            self._transact(lambda: allocations.unanswered(self._conn, pool, words, now))


def _nothing(_pool: Pool, _result: object | None, _error: Exception | None) -> None:
    """Without a call, nothing follows from it."""
