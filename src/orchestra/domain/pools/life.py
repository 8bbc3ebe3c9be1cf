"""What becomes of an allocation, from what its engine says and what its pilots do. Pure.

The engine's word alone never ends an allocation that has pilots: a batch system may have lost sight of a machine on
which jobs run on. Its pilots sign off, or the engine says that it is over and all of them are silent. An id that the
engine does not know says nothing either: Slurm forgets jobs a few minutes after their end (MinJobAge), and all of them
when its controller starts without its state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from orchestra.domain.human import duration
from orchestra.domain.models.pools import Allocation, AllocationState, EngineReport, Phase

SILENCE = 60.0
"""Seconds without a heartbeat after which a pilot is silent; as in the SQL function `is_online`."""
MISSES = 3
"""Answers without an allocation after which the engine does not know it."""
LOOKED_UP_FOR = 120.0
"""Seconds during which a submission without an answer is looked up: a controller that was away accepts it late."""
FORGOTTEN_AFTER = 600.0
"""Seconds after which an allocation that the engine does not know, and that never had a pilot, has ended."""
ATTACHES_WITHIN = 120.0
"""Seconds in which a pilot usually attaches once the engine says that it runs."""

NEVER_ACCEPTED = (
    "The engine has not accepted it: it does not know the submission, which it did not answer."
)
FORGOTTEN = "The engine no longer knows it, and it never had a pilot."
LEFT = "Its pilots have left."


@dataclass(frozen=True, slots=True)
class Pilots:
    """The pilots of an allocation, as the database knows them.

    Args:
        came: how many have attached.
        there: how many have not signed off.
        silent_for: seconds since the latest heartbeat of those that are there; None if none is there.
        holds: whether jobs that only a lease ends may still run under one of them.
    """

    came: int = 0
    there: int = 0
    silent_for: float | None = None
    holds: bool = False

    @property
    def are_silent(self) -> bool:
        """Whether all that are there are silent."""
        return self.silent_for is None or self.silent_for >= SILENCE


@dataclass(frozen=True, slots=True)
class Answers:
    """What the engine has said of one allocation since this process watches it.

    Args:
        report: the latest report; None if there was none.
        misses: answers in a row, since then, in which it was missing.
    """

    report: EngineReport | None = None
    misses: int = 0

    def with_report(self, report: EngineReport | None) -> Answers:
        """This, after a further answer; None: it was missing there."""
        if report is None:
            return replace(self, misses=self.misses + 1)
        return Answers(report)

    @property
    def known(self) -> EngineReport | None:
        """The latest report, unless the engine does not know the allocation any more."""
        return None if self.is_unknown else self.report

    @property
    def is_unknown(self) -> bool:
        """Whether the engine does not know it."""
        return self.misses >= MISSES


@dataclass(frozen=True, slots=True)
class End:
    """That an allocation has ended.

    Args:
        why: one sentence.
        by_itself: no pilot has signed off, as the last one of an allocation does.
        fences: the jobs of its silent pilots are dead, and start elsewhere at once.
    """

    why: str
    by_itself: bool = False
    fences: bool = False


def end_of(
    allocation: Allocation,
    answers: Answers,
    pilots: Pilots,
    now: datetime,
    *,
    kills_all: bool,
) -> End | None:
    """Return how an allocation has ended, None if it has not.

    Args:
        kills_all: no process of an allocation outlives it, by the engine's configuration.
    """
    report = answers.known
    is_over = report is not None and report.phase is Phase.OVER
    if report is not None and not is_over:
        return None
    if not pilots.came:
        return _end_without_pilots(allocation, answers, now)
    if not (is_over or answers.is_unknown) or not pilots.are_silent:
        return None
    why = LEFT if not pilots.there else _silent(answers, pilots)
    by_itself = bool(pilots.there) and is_over
    if not pilots.there or not pilots.holds:
        return End(why, by_itself)
    # Where a machine does not answer, Slurm says that its jobs have failed: they may run on there.
    dies = is_over and kills_all and not (report is not None and report.is_lost)
    return End(why, by_itself, fences=True) if dies else None


def _end_without_pilots(allocation: Allocation, answers: Answers, now: datetime) -> End | None:
    if answers.known is not None:
        return End(says(answers.known), by_itself=True)
    if not answers.is_unknown:
        return None
    age = (now - allocation.submitted_at).total_seconds()
    if allocation.engine_id is None:
        return End(NEVER_ACCEPTED) if age >= LOOKED_UP_FOR else None
    last = allocation.seen_at or allocation.submitted_at
    is_forgotten = (now - last).total_seconds() >= FORGOTTEN_AFTER
    return End(FORGOTTEN) if is_forgotten else None


def _silent(answers: Answers, pilots: Pilots) -> str:
    said = "no longer knows it" if answers.known is None else f"says {answers.known.word}"
    return (
        f"The engine {said}, and its pilot has been silent for {duration(pilots.silent_for or 0)}."
    )


def says(report: EngineReport) -> str:
    """What the engine says, in its own words: `TIMEOUT`, `PENDING (Priority)`."""
    return f"{report.word} ({report.reason})" if report.reason else report.word


def after(
    allocation: Allocation,
    answers: Answers,
    pilots: Pilots,
    now: datetime,
    *,
    ends_running: bool = False,
) -> Allocation:
    """Return an allocation as it is after the engine's answers, if it has not ended.

    Args:
        ends_running: a cancellation is meant for an allocation that has started, too, which is spared otherwise.
    """
    report = answers.known
    if report is None:
        return _unknown(allocation, pilots) if answers.is_unknown else allocation
    has_begun = report.phase in (Phase.RUNNING, Phase.ENDING)
    if has_begun and allocation.cancelled_at and not (ends_running or pilots.came):
        allocation = replace(allocation, cancelled_at=None, state=AllocationState.STARTING)
    return replace(
        allocation,
        engine_id=allocation.engine_id or report.engine_id,
        state=_state(allocation.state, report.phase, pilots),
        word=report.word,
        reason=_reason(allocation, report, pilots, now),
        ends_at=report.ends_at or allocation.ends_at,
        started_at=allocation.started_at or (now if has_begun else None),
        seen_at=allocation.seen_at if report.phase is Phase.UNCLEAR else now,
    )


def _unknown(allocation: Allocation, pilots: Pilots) -> Allocation:
    """One that serves is known by its pilots; one without an answer is still looked up; one that leaves does so."""
    is_known = pilots.there and not pilots.are_silent
    if allocation.engine_id is None or is_known or allocation.state is AllocationState.LEAVING:
        return allocation
    return replace(allocation, state=AllocationState.UNKNOWN)


def _state(state: AllocationState, phase: Phase, pilots: Pilots) -> AllocationState:
    """Return the state after the engine's word. Pilots that are there know better than their engine."""
    serves = bool(pilots.there)
    if state is AllocationState.LEAVING:
        return state
    match phase:
        case Phase.WAITING:
            return state if serves else AllocationState.PENDING
        case Phase.RUNNING:
            return AllocationState.SERVING if pilots.came else AllocationState.STARTING
        case Phase.ENDING:
            return AllocationState.LEAVING
        case Phase.OVER:
            return state
        case Phase.UNCLEAR:
            return state if serves else AllocationState.UNKNOWN


def _reason(
    allocation: Allocation, report: EngineReport, pilots: Pilots, now: datetime
) -> str | None:
    """Return the engine's reason; where it runs and no pilot has attached for long, that."""
    since = allocation.started_at
    if report.phase is Phase.RUNNING and not pilots.came and since is not None:
        seconds = (now - since).total_seconds()
        if seconds >= ATTACHES_WITHIN:
            return f"It has been running for {duration(seconds)}, and its pilot has not attached."
    return report.reason or None


GIVES_BACK_WITHIN = 60.0
"""Seconds in which the pilots of a cancelled allocation end their jobs and leave by themselves."""


def is_to_cancel(
    allocation: Allocation,
    answers: Answers,
    pilots: Pilots,
    now: datetime,
    *,
    ends_running: bool = False,
) -> bool:
    """Whether the engine is to be asked to end an allocation that was cancelled.

    Its pilots are told by the database, too, and give their jobs back before the engine would kill them.
    """
    if allocation.cancelled_at is None or allocation.engine_id is None:
        return False
    if answers.report is not None and answers.report.phase is Phase.OVER:
        return False
    if not pilots.there:
        return True
    waited = (now - allocation.cancelled_at).total_seconds()
    return ends_running and waited >= GIVES_BACK_WITHIN


@dataclass(frozen=True, slots=True)
class Leftover:
    """An allocation that ended `since` seconds ago, of which the engine may still have something.

    Either it answered a submission after all, or it starts one again.
    """

    id: UUID
    engine_id: str | None
    since: float


GONE_WITHIN = 120.0
"""Seconds in which an engine usually notices that all processes of an allocation have ended."""


def is_to_remove(leftover: Leftover, report: EngineReport) -> bool:
    """Whether the engine is to be asked to end what is left of an allocation that has ended."""
    return report.phase is Phase.WAITING or (
        report.phase in (Phase.RUNNING, Phase.ENDING, Phase.UNCLEAR)
        and leftover.since >= GONE_WITHIN
    )


SEEN_EVERY = timedelta(seconds=60)
"""How old the time may be at which the engine last knew an allocation, before it is written again."""


def differs(old: Allocation, new: Allocation) -> bool:
    """Whether an allocation must be written again."""
    if replace(new, seen_at=old.seen_at) != old:
        return True
    return new.seen_at is not None and (
        old.seen_at is None or new.seen_at - old.seen_at >= SEEN_EVERY
    )
