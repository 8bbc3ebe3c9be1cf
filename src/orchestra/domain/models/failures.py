"""Failed attempts, with what helps to find out why."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.outcome_text import describe_end, last_line, leaves_log
from orchestra.domain.states import Cause


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A failed attempt. `reason` is what its keeper reported, `log_tail` the last part of its log."""

    index: int
    node: str | None
    cause: Cause
    exit_status: int | None
    signal: int | None
    reason: str | None = None
    log_tail: bytes | None = None

    @property
    def what(self) -> str:
        """How it ended: `exit status 3`."""
        return describe_end(self.cause, self.exit_status, self.signal)

    @property
    def last_line(self) -> str | None:
        """The last line of its log, safe to print."""
        return last_line(self.log_tail)

    @property
    def has_log(self) -> bool:
        """Whether there is a log to read."""
        return leaves_log(self.cause, self.log_tail)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: the number of jobs among the first thousand, and the first of them with its config."""

    jobs: int
    example: FailedAttempt
    config: str


@dataclass(frozen=True, slots=True)
class JobsOnNode:
    """So many jobs, on a node; None is one that was deleted."""

    node: str | None
    jobs: int


@dataclass(frozen=True, slots=True)
class FailureLine:
    """Failures for one reason whose logs end alike, with the first of these jobs as an example.

    Args:
        line: a pattern of the last lines, in which `*` stands for what differs; None if there is no log.
        nodes: where they failed, most frequent first.
        index, node, config: the example and its config.
        what: how it ended; `reason` what its keeper reported.
        tail: the last lines of its log, safe to print.
        has_log: whether there is a log to read.
    """

    line: str | None
    jobs: int
    nodes: tuple[JobsOnNode, ...]
    index: int
    node: str | None
    config: str
    what: str
    reason: str | None
    tail: tuple[str, ...]
    has_log: bool


@dataclass(frozen=True, slots=True)
class FailureReason:
    """Failures for one reason.

    Args:
        reason: its code, such as `exit:3`; `words` the same in words.
        nodes: where they failed, most frequent first.
        lines: the most frequent last lines; there can be others.
    """

    reason: str
    words: str
    jobs: int
    nodes: tuple[JobsOnNode, ...]
    lines: tuple[FailureLine, ...]
