"""Finding jobs of several tasks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from orchestra.domain.states import JobStatus
from orchestra.interface.answers.jobs import FoundJobs
from orchestra.interface.jobs import PAGE
from orchestra.interface.operation import Interface, Question


@dataclass(frozen=True, slots=True)
class SearchJobs(Question[FoundJobs]):
    """Jobs by what is known of them: those of the newest task first, in each task by number.

    An answer may have fewer jobs than `limit`, or none, although more follow, because it looks at a limited number. Ask
    again from where it says.

    Args:
        word: a task by number or name; None for all tasks of `owner`, and of everybody if that is None, too.
        status: as `task list` counts the jobs.
        node: the name of the node of the job's latest attempt.
        config: a pattern of configs' paths (`domain/config_patterns.py`).
        since: only jobs that have changed since then.
        start: the task and job to begin with.
        reason: why the job's latest attempt ended: `exit:3`, `exit`, `timeout` (`domain/failure_reasons.py`).
        line: the last line of its log, with `*` for any characters (`domain/log_lines.py`).

    Raises:
        NotFound: there is no such task or user.
        BadInput: a pattern, the reason or the page is invalid.
    """

    word: str | None = None
    owner: str | None = None
    status: JobStatus | None = None
    node: str | None = None
    config: str | None = None
    since: datetime | None = None
    start: tuple[int, int] | None = None
    limit: int = PAGE
    reason: str | None = None
    line: str | None = None


def found_jobs(
    ask: Interface, search: SearchJobs, *, limit: int | None = None
) -> Iterator[FoundJobs]:
    """Yield the answers to a search, up to `limit` jobs."""
    left = limit
    while True:
        size = PAGE if left is None else min(PAGE, left)
        found = ask(replace(search, limit=size))
        yield found
        left = None if left is None else left - len(found.jobs)
        if found.following is None or left == 0:
            return
        search = replace(search, start=found.following)
