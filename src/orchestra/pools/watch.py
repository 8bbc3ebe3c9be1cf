"""What one pool's process knows of its allocations: what the engine answers, and what has become of them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from uuid import UUID

import psycopg

from orchestra.domain.models.pools import (
    Allocation,
    EngineReport,
    EngineSays,
    Phase,
    Pool,
    submission_name,
)
from orchestra.domain.pools import life
from orchestra.domain.pools.life import Answers, Leftover, Pilots
from orchestra.pools.engines import Engine
from orchestra.pools.files import AllocationFiles
from orchestra.services.nodes import fencing
from orchestra.services.pools import allocations
from orchestra.store.pools import allocations as store

Transact = Callable[[Callable[[], object]], object]
"""Runs one step in a transaction that has checked the term of the pool."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Said:
    """What the engine said, and the last words of pilots that never attached."""

    reports: EngineSays
    kills_all: bool
    last_words: dict[UUID, str] = field(default_factory=dict)


@dataclass(slots=True)
class Watch:
    """The allocations of a pool, from one process.

    Args:
        who: this process, for events.
        kills_all: as the engine's; False until it has answered.
        work_since: since when jobs have been ready without a break that the pool could run.
        has_ended: allocations have ended since that was last set to False.
    """

    who: str
    kills_all: bool = False
    work_since: datetime | None = None
    has_ended: bool = True
    _answers: dict[UUID, Answers] = field(default_factory=dict)
    _last_words: dict[UUID, str] = field(default_factory=dict)
    _live: dict[UUID, Allocation] = field(default_factory=dict)
    _asked_about: Sequence[Allocation] = ()
    _leftovers: Sequence[Leftover] = ()
    _asked_to_end: set[UUID] = field(default_factory=set)
    _to_remove: set[str] = field(default_factory=set)

    def question(
        self,
        conn: psycopg.Connection,
        pool: Pool,
        engine: Engine,
        files: AllocationFiles,
        *,
        but: UUID | None,
    ) -> Callable[[], Said] | None:
        """Return the call that asks the engine about all allocations at once; None if there is nothing to ask.

        Args:
            but: the allocation that is being submitted.
        """
        self._asked_about = [each for each in pool.live if each.id != but]
        self._leftovers = store.leftovers(conn, pool.id)
        known = [(each.id, each.engine_id) for each in self._asked_about]
        known += [(each.id, each.engine_id) for each in self._leftovers]
        ids = {engine_id for _, engine_id in known if engine_id}
        names = {submission_name(key) for key, engine_id in known if not engine_id}
        without = {each.id: each.engine_id for each in self._asked_about if not each.pilots}

        def call() -> Said:
            reports = engine.status(ids, names)
            over = {key for key, each in reports.items() if each.phase is Phase.OVER}
            words = {key: files.last_line(key) for key, number in without.items() if number in over}
            return Said(reports, engine.kills_all, words)

        return call if known else None

    def learn(self, said: Said) -> None:
        """Take in what the engine has said."""
        self.kills_all = said.kills_all
        self._last_words = said.last_words
        by_name = {each.name: each for each in said.reports.values()}

        def about(key: UUID, engine_id: str | None) -> EngineReport | None:
            name = submission_name(key)
            if engine_id is None:
                return by_name.get(name)
            # An engine that lost its state gives the ids of earlier jobs to others.
            report = said.reports.get(engine_id)
            return report if report and report.name in ("", name) else None

        for each in self._asked_about:
            before = self._answers.get(each.id, Answers())
            self._answers[each.id] = before.with_report(about(each.id, each.engine_id))
        self._asked_to_end.clear()
        for left in self._leftovers:
            report = about(left.id, left.engine_id)
            if report and life.is_to_remove(left, report):
                self._to_remove.add(report.engine_id)

    def observe(
        self, conn: psycopg.Connection, transact: Transact, pool: Pool, now: datetime
    ) -> None:
        """Record what has become of each allocation."""
        pilots = store.pilots(conn, [each.id for each in pool.live])
        self._note_departures(conn, transact, pool, now)
        self._live = {each.id: each for each in pool.live}
        for each in pool.live:
            answers = self._answers.get(each.id, Answers())
            come = pilots.get(each.id, Pilots())
            if life.end_of(each, answers, come, now, kills_all=self.kills_all):
                self._end(conn, transact, pool, each, now)
                continue
            new = life.after(each, answers, come, now, ends_running=pool.deletion == "now")
            if life.differs(each, new):
                transact(partial(allocations.keep, conn, pool, each, new))
            if answers.report and answers.report.is_hopeless and not each.cancelled_at:
                words = life.says(answers.report)
                log.warning("%s: paused: %s", pool.name, words)
                transact(partial(allocations.give_up, conn, pool, each, words))
        self._answers = {key: each for key, each in self._answers.items() if key in self._live}
        if pool.back_off.early_ends:
            transact(lambda: allocations.settle_back_off(conn, pool))

    def _end(
        self,
        conn: psycopg.Connection,
        transact: Transact,
        pool: Pool,
        allocation: Allocation,
        now: datetime,
    ) -> None:
        fenced: list[UUID] = []

        def step() -> None:
            fenced[:] = allocations.end(
                conn,
                pool,
                allocation,
                self._answers[allocation.id],
                now,
                kills_all=self.kills_all,
                has_work=self.work_since is not None,
                last_words=self._last_words.get(allocation.id, ""),
                who=self.who,
            )

        transact(step)
        self._live.pop(allocation.id, None)
        self.has_ended = True
        for keeper in fenced:
            fencing.requeue(conn, keeper, who=self.who)

    def _note_departures(
        self, conn: psycopg.Connection, transact: Transact, pool: Pool, now: datetime
    ) -> None:
        """Note the allocations whose pilots have signed off, and whether they had no job although jobs waited."""
        gone = self._live.keys() - {each.id for each in pool.live}
        self.has_ended = self.has_ended or bool(gone)
        since = self.work_since
        fruitless = [
            key
            for key in gone
            if since and (began := self._live[key].started_at) and since <= began
        ]
        if fruitless and store.had_no_job(conn, fruitless):
            transact(lambda: allocations.left_early(conn, pool, now))

    def remove(self, engine_id: str) -> None:
        """Have the engine end what it has of an allocation that was given up."""
        self._to_remove.add(engine_id)

    def to_cancel(
        self, conn: psycopg.Connection, pool: Pool, now: datetime
    ) -> tuple[set[str], set[str]]:
        """Return the ids of allocations that the engine is to end, and of what is left of those that have ended.

        Each is returned once for each answer of the engine.
        """
        cancelled = [each for each in pool.live if each.cancelled_at]
        pilots = store.pilots(conn, [each.id for each in cancelled])
        due = [
            each
            for each in cancelled
            if each.id not in self._asked_to_end
            and life.is_to_cancel(
                each,
                self._answers.get(each.id, Answers()),
                pilots.get(each.id, Pilots()),
                now,
                ends_running=pool.deletion == "now",
            )
        ]
        self._asked_to_end |= {each.id for each in due}
        remove, self._to_remove = self._to_remove, set()
        return {each.engine_id for each in due if each.engine_id}, remove


def has_unanswered(live: Collection[Allocation], but: UUID | None = None) -> bool:
    """Whether there is a submission without an answer, besides the one that is being made."""
    return any(each.engine_id is None and each.id != but for each in live)
