"""Changes of all jobs of a task that match a filter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.config_patterns import as_regex
from orchestra.domain.errors import BadInput
from orchestra.domain.failure_reasons import parse_reason
from orchestra.domain.human import listed
from orchestra.domain.log_lines import pattern_regex
from orchestra.domain.models.job_choice import JobChoice
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobStatus
from orchestra.domain.storable import check_reason
from orchestra.interface.answers.jobs import JobsMatched
from orchestra.services.jobs import views
from orchestra.services.tasks import actions, lifecycle
from orchestra.store.driver.database import in_transaction
from orchestra.store.jobs import jobs as store
from orchestra.store.tasks import task_mutations

CHUNK = 5_000
"""Jobs that one transaction looks at. Claims and reports of the task wait for it."""
LOOKED = 100_000
"""Jobs that one answer looks at, at most."""
MAY_RETRY = (JobStatus.FAILED, JobStatus.KILLED, JobStatus.BROKEN, JobStatus.DONE)
MAY_KILL = (JobStatus.RUNNING, JobStatus.TESTING, JobStatus.ASSIGNED, JobStatus.REGISTERED)

Place = tuple[JobStatus, int]


@dataclass(frozen=True, slots=True)
class Page:
    """Jobs that match among some that were looked at, and where the next ones begin; None at the end."""

    jobs: Sequence[store.JobToChange]
    following: Place | None


def retry(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    choice: JobChoice,
    start: Place | None = None,
) -> JobsMatched:
    """Retry the jobs of a task that match, ahead of all others; jobs whose config was removed are left out.

    Raises:
        BadInput: the choice is invalid.
        NotFound, Refused: the task does not exist or does not allow it.
    """

    def again(jobs: Sequence[store.JobToChange]) -> int:
        indexes = [job.index for job in jobs if not job.removed]
        return lifecycle.retry_jobs(conn, task, indexes, by=caller.name) if indexes else 0

    return _change(conn, caller, task, choice, start, retryable(choice), again)


def kill(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    choice: JobChoice,
    start: Place | None = None,
    why: str | None = None,
) -> JobsMatched:
    """Kill the jobs of a task that match and have not ended.

    Raises:
        BadInput: the choice is invalid.
        NotFound, Refused: the task does not exist or does not allow it.
    """
    why = check_reason(why)

    def end(jobs: Sequence[store.JobToChange]) -> int:
        indexes = [job.index for job in jobs]
        return lifecycle.kill_jobs(conn, task, indexes, by=caller.name, why=why) if indexes else 0

    return _change(conn, caller, task, choice, start, killable(choice), end)


def retryable(choice: JobChoice) -> Sequence[JobStatus]:
    """The states of the jobs that a retry is for: the one chosen, or all that are not done.

    Raises:
        BadInput: jobs in that state cannot be retried.
    """
    return _among(choice, MAY_RETRY, "retried") or MAY_RETRY[:-1]


def killable(choice: JobChoice) -> Sequence[JobStatus]:
    """The states of the jobs that a kill is for.

    Raises:
        BadInput: jobs in that state cannot be killed.
    """
    return _among(choice, MAY_KILL, "killed") or MAY_KILL


def _among(choice: JobChoice, allowed: Sequence[JobStatus], what: str) -> Sequence[JobStatus]:
    if choice.status is None:
        return ()
    if choice.status not in allowed:
        raise BadInput(
            f"jobs that are {choice.status} cannot be {what}; those can that are "
            f"{listed(allowed, last='or')}."
        )
    return (choice.status,)


def filter_of(choice: JobChoice) -> store.Filter:
    """Return what a choice is for besides the state.

    Raises:
        BadInput: a pattern or the reason is invalid.
    """
    return store.Filter(
        node=choice.node or None,
        config=as_regex(choice.config) if choice.config else None,
        reason=parse_reason(choice.reason) if choice.reason else None,
        line=pattern_regex(choice.line) if choice.line else None,
    )


def _change(
    conn: psycopg.Connection,
    caller: Caller,
    task: int,
    choice: JobChoice,
    start: Place | None,
    statuses: Sequence[JobStatus],
    act: Callable[[Sequence[store.JobToChange]], int],
) -> JobsMatched:
    before = actions.own_task(conn, caller, task)
    wanted = filter_of(choice)
    changed, place = 0, start or (statuses[0], 0)
    for _ in range(LOOKED // CHUNK):

        def step(place: Place = place) -> tuple[int, Place | None]:
            # Locked before it is read, so that what is read is still true.
            task_mutations.lock_task(conn, task)
            page = page_from(conn, before, wanted, statuses, place)
            return act(page.jobs), page.following

        jobs, following = in_transaction(conn, step)
        changed += jobs
        if following is None:
            return JobsMatched(before, changed, None)
        place = following
    return JobsMatched(before, changed, place)


def page_from(
    conn: psycopg.Connection,
    task: Task,
    wanted: store.Filter,
    statuses: Sequence[JobStatus],
    place: Place,
) -> Page:
    """Look at the next jobs of a task with some states, one state after the other.

    Raises:
        BadInput: the place is not one of an answer to the same request.
    """
    status, first = place
    if status not in statuses:
        raise BadInput("a change goes on where an answer to the same request ended.")
    found = store.changeable(
        conn,
        task.id,
        status,
        wanted,
        first=first,
        look=CHUNK,
        few_done=views.has_few(task, status),
    )
    if found.looked == CHUNK and found.looked_to is not None:
        return Page(found.jobs, (status, found.looked_to + 1))
    left = statuses[statuses.index(status) + 1 :]
    return Page(found.jobs, (left[0], 0) if left else None)


def pages(
    conn: psycopg.Connection, task: Task, wanted: store.Filter, statuses: Sequence[JobStatus]
) -> Iterator[Page]:
    """Yield pages of jobs that match, without changing them."""
    place: Place | None = (statuses[0], 0)
    while place is not None:
        page = page_from(conn, task, wanted, statuses, place)
        yield page
        place = page.following
