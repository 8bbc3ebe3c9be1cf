"""What can be done to single jobs."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.interface.answers.jobs import JobsDone
from orchestra.interface.operation import Change


@dataclass(frozen=True, slots=True)
class RetryJobs(Change[tuple[JobsDone, ...]]):
    """Start jobs over, first in line; all jobs of a task that are named, or none of them.

    Raises:
        BadInput, NotFound: one of the addresses is not a job's.
        Refused: a task's state does not allow it, a job is alive, or the task is somebody else's.
    """

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KillJobs(Change[tuple[JobsDone, ...]]):
    """End jobs; those that have ended stay as they are.

    Raises:
        BadInput, NotFound: one of the addresses is not a job's.
        Refused: a task's state does not allow it, or the task is somebody else's.
    """

    addresses: tuple[str, ...]
    reason: str | None = None
