"""Notifications: values that are kept in the outbox as JSON until they are sent by mail. Pure.

A notification is written in the transaction of the event that it reports, and describes the state at that time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

HELD = "HELD"
"""The outcome of a held task; the others are the names of the ended states."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures of one kind: the number of jobs, one of them (`TASK/N`), and the last lines of its log."""

    what: str
    jobs: int
    job: str
    config: str = ""
    node: str | None = None
    reason: str | None = None
    tail: tuple[str, ...] = ()
    has_log: bool = True

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        known = _known(cls, payload)
        return cls(**{**known, "tail": tuple(known.get("tail", ()))})


@dataclass(frozen=True, slots=True)
class TaskNotification:
    """A task has ended, or is held: `outcome`. `seconds` is how long it took.

    `counts` are its jobs by state, without zeros. `kinds` is the number of kinds of failures, of which `failures` are
    the most frequent ones. `doubts` is the number of doubtful results, `doubt` the reason for one of them.
    """

    KIND: ClassVar[str] = "task"
    task: int
    name: str
    outcome: str
    jobs: int
    folder: str
    by: str
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None
    why: str | None = None
    failures: tuple[Failure, ...] = ()
    kinds: int = 0
    doubts: str | None = None
    doubt: str | None = None

    @property
    def done(self) -> int:
        return self.counts.get("done", 0)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        known = _known(cls, payload)
        failures = tuple(Failure.from_payload(each) for each in known.get("failures", ()))
        return cls(**{**known, "failures": failures})


@dataclass(frozen=True, slots=True)
class AffectedTask:
    task: int
    name: str
    jobs: int


@dataclass(frozen=True, slots=True)
class OfflineNotification:
    """A node with jobs of the recipient is silent; they are requeued after `until` (UTC, or None for never)."""

    KIND: ClassVar[str] = "offline"
    node: str
    seconds: float
    tasks: tuple[AffectedTask, ...] = ()
    until: str | None = None

    @property
    def jobs(self) -> int:
        return sum(task.jobs for task in self.tasks)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        known = _known(cls, payload)
        tasks = tuple(AffectedTask(**_known(AffectedTask, each)) for each in known.get("tasks", ()))
        return cls(**{**known, "tasks": tasks})


@dataclass(frozen=True, slots=True)
class PilotNotification:
    """The pilot of a node has died, or is silent; `jobs` are affected. `what` is a sentence without its full stop."""

    KIND: ClassVar[str] = "pilot"
    node: str
    what: str
    jobs: int = 0
    silent: bool = False

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, payload))


@dataclass(frozen=True, slots=True)
class UndeliveredNotification:
    """A mail could not be sent."""

    KIND: ClassVar[str] = "trouble"
    mail: int
    to: str
    subject: str
    error: str

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, payload))


Notification = TaskNotification | OfflineNotification | PilotNotification | UndeliveredNotification
_NOTIFICATIONS: dict[str, type[Notification]] = {
    notification.KIND: notification
    for notification in (
        TaskNotification,
        OfflineNotification,
        PilotNotification,
        UndeliveredNotification,
    )
}
KINDS = tuple(_NOTIFICATIONS)
"""The kinds of notifications that this version can read. Others wait for a newer version."""


WITHOUT_REPORT = "without the report on task"
"""How it begins that a mail was sent, but not with a report that was to be attached."""


@dataclass(frozen=True, slots=True)
class BestRow:
    """A job with one of the best results: its address, and the values of the columns."""

    job: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BestResults:
    """The best jobs of a task, the best one first. They are ranked by the first of the `columns`."""

    columns: tuple[str, ...]
    rows: tuple[BestRow, ...]


def to_payload(notification: Notification) -> dict[str, Any]:
    """Return a notification as it is stored."""
    return asdict(notification)


def from_payload(kind: str, payload: Mapping[str, Any]) -> Notification:
    """Return a stored notification. Fields that another version has added are ignored.

    Raises:
        KeyError: the kind is unknown.
        TypeError: a field is missing.
    """
    return _NOTIFICATIONS[kind].from_payload(payload)


def _known(kind: type[Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: payload[each.name] for each in fields(kind) if each.name in payload}
