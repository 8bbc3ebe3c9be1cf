"""Reading lists that are longer than one answer."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import JobPage
from orchestra.interface.jobs import PAGE, ListJobs
from orchestra.interface.operation import Interface


def job_pages(
    ask: Interface,
    task: str,
    status: JobStatus | None = None,
    *,
    first: int = 0,
    limit: int | None = None,
) -> Iterator[JobPage]:
    """Yield pages of a task's jobs from index `first` on, up to `limit` jobs.

    Raises:
        NotFound: there is no such task.
        BadInput: the page is invalid.
    """
    left, following = limit, first
    while True:
        size = PAGE if left is None else min(PAGE, left)
        page = ask(ListJobs(task, status, following, size))
        yield page
        left = None if left is None else left - len(page.jobs)
        if page.following is None or left == 0:
            return
        following = page.following
