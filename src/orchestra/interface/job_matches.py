"""Changes of all jobs of a task that match a filter.

One answer changes a limited number of jobs, some thousands in each transaction, and says where to go on; `every_match`
asks until all are changed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import JobsMatched
from orchestra.interface.operation import Change, Interface


@dataclass(frozen=True, slots=True)
class RetryMatching(Change[JobsMatched]):
    """Retry the jobs of a task that match, ahead of all others.

    Args:
        status: failed, killed, broken or done; by default all but the done ones.
        reason, line, node, config: as in `SearchJobs`.
        start: where an earlier answer ended.

    Raises:
        BadInput: a pattern or the reason is invalid, or jobs with that status cannot be retried.
        NotFound: there is no such task.
        Refused: the task's state does not allow it, or it belongs to somebody else.
    """

    task: int
    status: JobStatus | None = None
    reason: str | None = None
    line: str | None = None
    node: str | None = None
    config: str | None = None
    start: tuple[JobStatus, int] | None = None


@dataclass(frozen=True, slots=True)
class KillMatching(Change[JobsMatched]):
    """Kill the jobs of a task that match and have not ended.

    Args:
        status: registered, assigned, testing or running; by default all of these.
        reason, line, node, config: as in `SearchJobs`; here `reason` is why an earlier attempt of a waiting job ended.
        why: the reason for the kill.
        start: where an earlier answer ended.

    Raises:
        BadInput: a pattern or the reason is invalid, or jobs with that status cannot be killed.
        NotFound: there is no such task.
        Refused: the task's state does not allow it, or it belongs to somebody else.
    """

    task: int
    status: JobStatus | None = None
    reason: str | None = None
    line: str | None = None
    node: str | None = None
    config: str | None = None
    why: str | None = None
    start: tuple[JobStatus, int] | None = None


def every_match(ask: Interface, change: RetryMatching | KillMatching) -> JobsMatched:
    """Change all jobs that match, and return the first answer with the number of all jobs that were changed."""
    first = answer = ask(change)
    jobs = first.jobs
    while answer.following is not None:
        answer = ask(replace(change, start=answer.following))
        jobs += answer.jobs
    return replace(first, jobs=jobs, following=None)
