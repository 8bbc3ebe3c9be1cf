"""Attempts that failed, with what tells most about why."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.outcome_text import describe_end, last_line, leaves_log
from orchestra.domain.states import Cause


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """How an attempt failed. `reason` is what its keeper said of its end, `log_tail` the end of its log."""

    index: int
    node: str | None
    cause: Cause
    exit_status: int | None
    signal: int | None
    reason: str | None = None
    log_tail: bytes | None = None

    @property
    def what(self) -> str:
        """Say how it ended: `exit status 3`."""
        return describe_end(self.cause, self.exit_status, self.signal)

    @property
    def last_line(self) -> str | None:
        """The end of its log, safe to print."""
        return last_line(self.log_tail)

    @property
    def has_log(self) -> bool:
        """Whether there is a log to look at."""
        return leaves_log(self.cause, self.log_tail)


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: how many jobs among the first thousand, and the first of them with its config."""

    jobs: int
    example: FailedAttempt
    config: str
