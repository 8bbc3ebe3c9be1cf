"""What an explanation rests on, and what it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

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
    """The keeper that holds a job: seconds since it was renewed, and until its lease is over (None: it never is)."""

    silent_for: float
    lease_left: float | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a job and of what it waits for; what its state does not need may be left out.

    Args:
        now: the database's time.
        result: where people find the job's output.
        attempts: oldest first.
        not_before: when it may be tried again.
        before: jobs of its own task that come first; `many_before` says that there are more than were counted.
        places: every node, with its slots of the task's queue.
        rivals: every live task of that queue, its own among them.
        busy: what runs on that queue.
        culprits: the test jobs that failed, by which its task broke.
        asked: the event by which somebody ended the job, or its whole task.
        held_up: for which files it waits where a pilot has it, in sentences.
        last_line: the end of the latest attempt's log.
        conductor: somebody carries out the conductor's duties.
        settling: why nothing goes on at present, where the database was replaced.
        stuck: why the conductor cannot go on with the task, in a sentence, where it cannot.
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
    busy: tuple[RunningJobs, ...] = ()
    test: TestFacts = field(default_factory=TestFacts)
    asked: Event | None = None
    failed_tests: tuple[FailedAttempt, ...] = ()
    keeper_lease: KeeperLease | None = None
    held_up: tuple[str, ...] = ()
    last_line: str | None = None
    conductor: bool = True
    settling: str | None = None
    stuck: str | None = None

    @property
    def address(self) -> str:
        return f"{self.task.id}/{self.job.index}"

    @property
    def latest(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    def ago(self, moment: datetime) -> str:
        """Give a moment as seen from now: `3 h ago`."""
        return ago((self.now - moment).total_seconds())

    def since(self, moment: datetime) -> str:
        """Give how long something has lasted: `12 min 40 s`."""
        return duration(max(0.0, (self.now - moment).total_seconds()))


def ago(seconds: float) -> str:
    """Give a past moment for a sentence: `3 h ago`, `just now`."""
    return relative(-seconds) if seconds >= 1 else "just now"


@dataclass(frozen=True, slots=True)
class Explanation:
    """One sentence that says how things are, and those that say why. `starts_in` is in seconds, where it is known."""

    headline: str
    told: tuple[Sentence, ...] = ()
    starts_in: float | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """Those that say why, as last worded."""
        return tuple(map(str, self.told))

    def __str__(self) -> str:
        return "\n  ".join((self.headline, *self.sentences))


_SAID_IN_PART = frozenset({Cause.RETURNED})
"""Ends of which the reason says only why."""


def ending(attempt: Attempt) -> str:
    """Say how an attempt ended: `exit status 3`, `lost: its node was started anew`."""
    if attempt.cause is None:
        return f"lost: {attempt.reason}" if attempt.reason else "lost; nobody saw its end"
    words = describe_end(attempt.cause, attempt.exit_status, attempt.signal)
    if attempt.reason and attempt.cause in _SAID_IN_PART:
        return f"{words}: {attempt.reason}"
    return attempt.reason or words


def by_whom(event: Event | None, facts: Facts) -> str:
    """Say who did something, when and why: ` 3 h ago by ana: "too long"`; nothing where nobody knows."""
    if event is None:
        return ""
    why = f': "{event.why}"' if event.why else ""
    return f" {facts.ago(event.at)} by {event.who}{why}"
