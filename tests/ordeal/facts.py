"""What an ordeal has left to be judged: plain values. Times are by the monotonic clock, in seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

JobName = tuple[str, int]
"""Task and ordinal. Tasks go by their own names, for a database may give an id twice after it was restored."""


@dataclass(frozen=True, slots=True)
class Life:
    """An attempt as the job itself wrote it down; `beside` are the attempts of its job that were alive as it began."""

    job: JobName
    attempt: int
    token: str
    began: float
    folder: str = ""
    beside: tuple[str, ...] = ()
    ended: float | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of the database."""

    job: JobName
    number: int
    token: str
    keeper: str
    started: bool = True
    ended: bool = True
    lost: bool = False
    accepted: bool | None = True
    cause: str | None = "exit"
    exit_status: int | None = 0
    signal: int | None = None
    reason: str | None = None
    folder_number: int = 1


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the database; `linked` is the attempt's folder that its link points at."""

    name: JobName
    state: str
    attempt: int
    done_attempt: int | None = None
    linked: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the database; `holds` are the reasons for which Orchestra itself held it."""

    name: str
    state: str
    resume: bool = False
    has_timeout: bool = False
    holds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a state, as a trigger saw it; `ordinal` is None for that of a task."""

    transaction: int
    task: str
    index: int | None
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the database, in the order of their ids."""

    transaction: int
    kind: str
    task: str
    index: int | None
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Notification:
    """A row of the outbox about a task's end; `outcome` is the state in which it ended."""

    task: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An outcome that became its job's, as a trigger saw it; `latest` is the job's latest attempt at that moment."""

    job: JobName
    number: int
    latest: int
    success: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; `until` is None where it has not ended."""

    since: float
    until: float | None = None

    def touches(self, start: float, end: float) -> bool:
        return self.since <= end and (self.until is None or self.until >= start)


@dataclass(slots=True)
class Keeper:
    """What was done to a keeper: stopped for a while, killed for good."""

    node: str
    stopped: list[Span] = field(default_factory=list)
    killed: float | None = None

    def was_stopped(self, start: float, end: float) -> bool:
        return any(span.touches(start, end) for span in self.stopped)


@dataclass(frozen=True, slots=True)
class Load:
    """What a process of a pilot used: its share of one core over a stretch of seconds."""

    who: str
    seconds: float
    share: float
    idle: bool = False


@dataclass(slots=True)
class Facts:
    """Everything that a check may look at.

    Args:
        agentless: by node, when no agent could act: none lived, or it was stopped.
        killed_jobs: tokens of the attempts that had a process killed by the ordeal itself.
        restored: when the database was replaced by an older edition of itself.
        mishaps: how often each mishap of the network has happened.
        miscounts: lists' figures that differed from count(*), in words.
        leftovers: processes that were there at the end, in words.
        unsettled: what did not come to rest in time, in words.
    """

    tasks: list[Task] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    acceptances: list[Acceptance] = field(default_factory=list)
    notifications: list[Notification] = field(default_factory=list)
    keepers: dict[str, Keeper] = field(default_factory=dict)
    agentless: dict[str, list[Span]] = field(default_factory=dict)
    killed_jobs: set[str] = field(default_factory=set)
    loads: list[Load] = field(default_factory=list)
    restored: float | None = None
    mishaps: Counter[str] = field(default_factory=Counter)
    miscounts: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
