"""The facts of an ordeal for its checks: plain values. Times are of the monotonic clock, in seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

from orchestra.domain.resources import Request, Room

JobName = tuple[str, int]
"""Task and ordinal. Tasks have names of their own, because a restored database may use an id twice."""


@dataclass(frozen=True, slots=True)
class Life:
    """An attempt as recorded by the job itself; `beside` are the attempts of its job that were alive at its start."""

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
    """A row of the database; `linked` is the attempt's folder to which its symlink points."""

    name: JobName
    state: str
    attempt: int
    done_attempt: int | None = None
    linked: int | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A row of the database; `holds` are the reasons why Orchestra has held it, `request` is what each job takes."""

    name: str
    state: str
    resume: bool = False
    has_timeout: bool = False
    holds: tuple[str, ...] = ()
    request: Request = field(default_factory=partial(Request, cpus=1))


@dataclass(frozen=True, slots=True)
class Move:
    """A change of a state, as recorded by a trigger; `ordinal` is None for a task."""

    transaction: int
    task: str
    index: int | None
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Event:
    """A row of the database, ordered by id."""

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
    """An accepted outcome, as recorded by a trigger; `latest` is the job's latest attempt at that time."""

    job: JobName
    number: int
    latest: int
    success: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A period of time; `until` is None if it has not ended."""

    since: float
    until: float | None = None

    def touches(self, start: float, end: float) -> bool:
        return self.since <= end and (self.until is None or self.until >= start)


@dataclass(slots=True)
class Keeper:
    """The faults of a keeper: when it was stopped, and when it was killed.

    `machine` is where it ran: a node's second pilot may claim to be on another one.
    """

    node: str
    machine: str = ""
    stopped: list[Span] = field(default_factory=list)
    killed: float | None = None

    def was_stopped(self, start: float, end: float) -> bool:
        return any(span.touches(start, end) for span in self.stopped)


@dataclass(frozen=True, slots=True)
class Load:
    """The CPU usage of a pilot's process: its share of one core over some seconds."""

    who: str
    seconds: float
    share: float
    idle: bool = False


@dataclass(slots=True)
class Facts:
    """The facts for the checks.

    Args:
        agentless: by node, when no agent could act: none lived, or it was stopped.
        room: what each machine has for jobs.
        killed_jobs: tokens of the attempts with a process that the ordeal has killed.
        restored: when the database was replaced by an older state of itself.
        mishaps: how often each mishap of the network has happened.
        miscounts: counts in lists that differed from count(*), in words.
        leftovers: processes that were left at the end, in words.
        unsettled: what has not ended in time, in words.
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
    room: Room = field(default_factory=Room)
    killed_jobs: set[str] = field(default_factory=set)
    loads: list[Load] = field(default_factory=list)
    restored: float | None = None
    mishaps: Counter[str] = field(default_factory=Counter)
    miscounts: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
