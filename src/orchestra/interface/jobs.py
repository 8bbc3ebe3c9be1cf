"""Questions about jobs."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import AttemptReport, JobPage, JobReport
from orchestra.interface.operation import Question

PAGE = 5_000
"""The most jobs that one answer holds."""


@dataclass(frozen=True, slots=True)
class ListJobs(Question[JobPage]):
    """A page of the jobs of a task: all, or those with one status, from index `first` on.

    Raises:
        NotFound: there is no such task.
        BadInput: the page is invalid.
    """

    word: str
    status: JobStatus | None = None
    first: int = 0
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class ShowJob(Question[JobReport]):
    """The report on one job, `TASK/N`.

    Raises:
        BadInput: the text is not the address of one job.
        NotFound: there is no such task or job.
    """

    address: str


@dataclass(frozen=True, slots=True)
class ShowAttempt(Question[AttemptReport]):
    """One attempt of a job, with the command that it ran.

    Raises:
        NotFound: there is no such attempt.
    """

    task: int
    index: int
    attempt: int
