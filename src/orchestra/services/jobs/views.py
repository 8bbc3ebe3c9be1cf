"""Jobs as people see them. `actions.py` changes them."""

from __future__ import annotations

import psycopg

from orchestra.domain import file_waits
from orchestra.domain.command import parse
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.job_address import parse_one_job
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, JobStatus
from orchestra.domain.storable import check_page
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.jobs import AttemptReport, JobPage, JobReport
from orchestra.services.jobs.logs import no_such_attempt
from orchestra.services.tasks import selection
from orchestra.store.jobs import jobs as store
from orchestra.store.nodes import unresponsive_folders
from orchestra.store.tasks import sources

FEW = 20
"""Fewer done jobs than one in so many are found by an index of their own."""


def list_jobs(
    conn: psycopg.Connection, word: str, status: JobStatus | None, *, first: int, limit: int
) -> JobPage:
    """Return a page of a task's jobs, all or those with one status, from index `first` on.

    Raises:
        NotFound: there is no such task.
        BadInput: the page is invalid.
    """
    check_page(first=first, limit=limit)
    task = selection.find(conn, word)
    found = store.listed(
        conn, task.id, status, first=first, limit=limit + 1, few_done=has_few(task, status)
    )
    following = found[limit].index if len(found) > limit else None
    matching = task.jobs if status is None else task.counts[status]
    if status is JobStatus.KILLED:
        matching += task.removed
    return JobPage(task, tuple(found[:limit]), matching, following)


def has_few(task: Task, status: JobStatus | None) -> bool:
    """Whether the jobs with a status are few done ones, which an index of their own finds."""
    return status is JobStatus.DONE and task.counts.done * FEW < task.jobs


def show(conn: psycopg.Connection, text: str) -> JobReport:
    """Return the report on one job, `TASK/N`.

    Raises:
        BadInput: the text is not the address of one job.
        NotFound: there is no such task or job.
    """
    address = parse_one_job(text)
    task = selection.find(conn, str(address.task))
    index = address.single
    assert index is not None
    job = store.by_key(conn, task.id, index)
    if job is None:
        raise no_such_job(task, index)
    attempts = store.attempts(conn, task.id, index, task_folder=task.folder)
    source = sources.config(conn, task.id)
    path = f"{source.root}/{job.config}" if source.is_folder else source.root
    return JobReport(task, job, tuple(attempts), path, _waits(conn, job))


def show_attempt(conn: psycopg.Connection, task: int, index: int, number: int) -> AttemptReport:
    """Return one attempt of a job, with its command.

    Raises:
        NotFound: there is no such attempt.
    """
    folder = selection.find(conn, str(task)).folder
    for attempt in store.attempts(conn, task, index, task_folder=folder):
        if attempt.number == number:
            return AttemptReport(attempt, _command(conn, attempt))
    raise no_such_attempt(task, index, number)


def _command(conn: psycopg.Connection, attempt: Attempt) -> str | None:
    found = store.command(conn, attempt)
    if found is None:
        return None
    try:
        return parse(found[0]).render(found[1])
    except BadInput:  # a path that no command line can hold; the attempt failed for that
        return None


def _waits(conn: psycopg.Connection, job: Job) -> tuple[str, ...]:
    held_up = unresponsive_folders.file_wait(conn, job.task_id, job.index) if job.claimed else None
    if held_up is None:
        return ()
    started = job.state is JobState.RUNNING
    return tuple(file_waits.sentences(held_up, started=started, ends=job.kill_requested))


def no_such_job(task: Task, index: int) -> NotFound:
    """Return the error for a job that a task does not have."""
    has = "only 0" if task.jobs == 1 else f"0 to {task.jobs - 1}"
    return NotFound(
        f"task {task.id} ({task.name}) has no job {index}; its jobs are numbered {has}.",
        hint=words(Action.LIST_JOBS(task=task.id)),
        kind="job",
        task=task.id,
        job=index,
    )
