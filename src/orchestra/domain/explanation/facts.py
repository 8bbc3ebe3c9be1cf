"""The facts that an explanation is based on, and the explanation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from orchestra.domain.fair_share import Share
from orchestra.domain.forecast import Competitor, RunningJobs
from orchestra.domain.human import duration, relative
from orchestra.domain.lifecycle import TestFacts
from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import describe_end
from orchestra.domain.states import Cause
from orchestra.domain.wording import Sentence


@dataclass(frozen=True, slots=True)
class KeeperLease:
    """The lease of a job's keeper: seconds since its renewal, and until it expires (None: never)."""

    silent_for: float
    lease_left: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about a job and what it waits for. What its state does not need may be left out.

    Args:
        now: the database's time.
        result: the path of the job's output.
        attempts: oldest first.
        not_before: when it may be retried.
        before: jobs of its own task that come first; `many_before` if there are more than were counted.
        offers: all nodes, with their slots of the task's queue.
        competitors: all live tasks of that queue, including its own.
        shares: by user, what decides whose turn it is.
        busy: the running jobs of that queue.
        free_in: by node, the seconds until such a job could start there, if known.
        limit: the limit of its owner that keeps it from starting, in words.
        failed_tests: the failed test jobs that broke its task.
        asked: the event of the request to end the job or its task.
        held_up: which files it waits for on its node, in sentences.
        last_line: the last line of the latest attempt's log.
        conductor: whether a conductor is active.
        settling: why nothing starts at present, if the database was replaced.
        pools: the names of the pools whose pilots could run it.
        no_pilot: why no pilot of a pool comes, in sentences.
        stuck: why the conductor cannot continue with the task, in a sentence, if so.
    """

    now: datetime
    task: Task
    job: Job
    result: str
    attempts: tuple[Attempt, ...] = ()
    not_before: datetime | None = None
    before: int = 0
    many_before: bool = False
    offers: tuple[NodeOffer, ...] = ()
    competitors: tuple[Competitor, ...] = ()
    shares: Mapping[str, Share] = field(default_factory=dict)
    busy: tuple[RunningJobs, ...] = ()
    free_in: Mapping[str, float] = field(default_factory=dict)
    limit: str | None = None
    test: TestFacts = field(default_factory=TestFacts)
    asked: Event | None = None
    failed_tests: tuple[FailedAttempt, ...] = ()
    keeper_lease: KeeperLease | None = None
    held_up: tuple[str, ...] = ()
    last_line: str | None = None
    conductor: bool = True
    settling: str | None = None
    pools: tuple[str, ...] = ()
    no_pilot: tuple[Sentence, ...] = ()
    stuck: str | None = None

    @property
    def address(self) -> str:
        return f"{self.task.id}/{self.job.index}"

    @property
    def latest(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    def ago(self, moment: datetime) -> str:
        """A moment relative to now: `3 h ago`."""
        return ago((self.now - moment).total_seconds())

    def since(self, moment: datetime) -> str:
        """The time since a moment: `12 min 40 s`."""
        return duration(max(0.0, (self.now - moment).total_seconds()))


def ago(seconds: float) -> str:
    """A past moment in a sentence: `3 h ago`, `just now`."""
    return relative(-seconds) if seconds >= 1 else "just now"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A headline about the job's state, and sentences that say why. `starts_in` is in seconds, if known."""

    headline: str
    told: tuple[Sentence, ...] = ()
    starts_in: float | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences that say why, as last worded."""
        return tuple(map(str, self.told))

    def __str__(self) -> str:
        return "\n  ".join((self.headline, *self.sentences))


_SAID_IN_PART = frozenset({Cause.RETURNED})
"""Causes whose reason says only why, not what happened."""


def ending(attempt: Attempt) -> str:
    """Describe how an attempt ended: `exit status 3`, `lost: its node was restarted`."""
    if attempt.cause is None:
        return f"lost: {attempt.reason}" if attempt.reason else "lost; its end was not seen"
    words = describe_end(attempt.cause, attempt.exit_status, attempt.signal)
    if attempt.reason and attempt.cause in _SAID_IN_PART:
        return f"{words}: {attempt.reason}"
    return attempt.reason or words


def by_whom(event: Event | None, facts: Facts) -> str:
    """When, by whom and why an event happened: ` 3 h ago by ana: "too long"`; empty if unknown."""
    if event is None:
        return ""
    why = f': "{event.why}"' if event.why else ""
    return f" {facts.ago(event.at)} by {event.who}{why}"
