"""What a mail tells: values that are kept in the outbox, as JSON, until they are sent. Pure.

A letter is written in the transaction of what it tells, so it says how things stood then, whatever has become of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Self

HELD = "HELD"
"""The outcome of a task that is held; the others are the names of its ended states."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Failures of one kind: how many jobs, one of them (`TASK/N`), and the last lines of its log, if it has one."""

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
class TaskLetter:
    """A task has ended, or is held. `outcome` says which; `seconds` is how long it took.

    `counts` are its jobs by state, those alone that there are. `kinds` counts the kinds of failures, of which
    `failures` are the most frequent ones. `doubts` says how many results are in doubt, `doubt` why one of them is.
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
class TaskAtStake:
    task: int
    name: str
    jobs: int


@dataclass(frozen=True, slots=True)
class OfflineLetter:
    """A node with jobs of this person is silent; they are given to others after `until`, in UTC, if ever."""

    KIND: ClassVar[str] = "offline"
    node: str
    seconds: float
    tasks: tuple[TaskAtStake, ...] = ()
    until: str | None = None

    @property
    def jobs(self) -> int:
        return sum(task.jobs for task in self.tasks)

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        known = _known(cls, payload)
        tasks = tuple(TaskAtStake(**_known(TaskAtStake, each)) for each in known.get("tasks", ()))
        return cls(**{**known, "tasks": tasks})


@dataclass(frozen=True, slots=True)
class PilotLetter:
    """The pilot of a node has died, or is silent; `jobs` were at stake. `what` is a sentence without its end."""

    KIND: ClassVar[str] = "pilot"
    node: str
    what: str
    jobs: int = 0
    silent: bool = False

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, payload))


@dataclass(frozen=True, slots=True)
class TroubleLetter:
    """A mail could not be sent."""

    KIND: ClassVar[str] = "trouble"
    mail: int
    to: str
    subject: str
    error: str

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        return cls(**_known(cls, payload))


Letter = TaskLetter | OfflineLetter | PilotLetter | TroubleLetter
_LETTERS: dict[str, type[Letter]] = {
    letter.KIND: letter for letter in (TaskLetter, OfflineLetter, PilotLetter, TroubleLetter)
}
KINDS = tuple(_LETTERS)
"""The kinds of letters that this program can read; others wait for one that can."""


@dataclass(frozen=True, slots=True)
class BestRow:
    """A job with one of the best results: its address, the values of the columns."""

    job: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BestResults:
    """The best jobs of a task, the best one first. `columns` are named; the first one is what they are best in."""

    columns: tuple[str, ...]
    rows: tuple[BestRow, ...]


def to_payload(letter: Letter) -> dict[str, Any]:
    """Give what is kept of a letter."""
    return asdict(letter)


def from_payload(kind: str, payload: Mapping[str, Any]) -> Letter:
    """Give a letter back. What another version has added to it is left out.

    Raises:
        KeyError: no such kind is known.
        TypeError: something is missing.
    """
    return _LETTERS[kind].from_payload(payload)


def _known(kind: type[Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: payload[each.name] for each in fields(kind) if each.name in payload}
