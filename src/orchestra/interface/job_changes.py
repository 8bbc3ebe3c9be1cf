"""Changes of single jobs."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.jobs import JobsDone
from orchestra.interface.operation import Change


@dataclass(frozen=True, slots=True)
class RetryJobs(Change[tuple[JobsDone, ...]]):
    """Retry jobs, ahead of all others; of each task all that are named, or none.

    Raises:
        BadInput, NotFound: one of the jobs does not exist.
        Refused: a task's state does not allow it, a job is alive, or the task belongs to somebody else.
    """

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KillJobs(Change[tuple[JobsDone, ...]]):
    """Kill jobs; jobs that have ended stay as they are.

    Raises:
        BadInput, NotFound: one of the jobs does not exist.
        Refused: a task's state does not allow it, or the task belongs to somebody else.
    """

    addresses: tuple[str, ...]
    reason: str | None = None
