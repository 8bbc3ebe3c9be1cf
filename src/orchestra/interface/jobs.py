"""What can be asked about jobs."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import JobPage, JobReport
from orchestra.interface.operation import Question

PAGE = 5_000
"""Jobs that are given at most at a time."""


@dataclass(frozen=True, slots=True)
class ListJobs(Question[JobPage]):
    """A page of the jobs of a task: those of one column of `task list` or all, from number `first` on.

    Raises:
        NotFound: there is no such task.
        BadInput: there is no such page.
    """

    word: str
    status: JobStatus | None = None
    first: int = 0
    limit: int = PAGE


@dataclass(frozen=True, slots=True)
class ShowJob(Question[JobReport]):
    """All that is to be said of one job, `TASK/N`.

    Raises:
        BadInput: that is not the address of one job.
        NotFound: there is no such task or job.
    """

    address: str
