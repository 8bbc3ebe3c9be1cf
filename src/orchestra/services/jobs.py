"""Looking at jobs, and what people do to single ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.people import User
from orchestra.domain.models.tasks import Task
from orchestra.domain.naming import JobAddress, parse_job_address, parse_one_job
from orchestra.domain.states import Figure
from orchestra.services import lifecycle, selection
from orchestra.services.rights import check_may_change
from orchestra.store import jobs as store
from orchestra.store import tasks as task_store

FEW = 20
"""Less than one in so many jobs done is few."""
AT_A_TIME = 100_000
"""Jobs that may be named one by one in a command; more are a task's business."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of a task's jobs; `following` is the number to go on with, None at the end."""

    task: Task
    jobs: tuple[Job, ...]
    matching: int
    following: int | None


@dataclass(frozen=True, slots=True)
class JobReport:
    """All that `job show` says."""

    task: Task
    job: Job
    attempts: tuple[Attempt, ...]
    config_path: str


@dataclass(frozen=True, slots=True)
class JobsDone:
    """What was done to jobs of one task; `jobs` counts those that it changed."""

    task: Task
    address: str
    jobs: int


def list_jobs(
    conn: psycopg.Connection, word: str, figure: Figure | None, *, first: int, limit: int
) -> JobPage:
    """Give the jobs of a task, those of one column of `task list` or all, from number `first` on.

    Raises:
        NotFound: there is no such task.
        BadInput: the page is none.
    """
    if limit < 1 or first < 0:
        raise BadInput("a page begins at job 0 or later and has at least one job.")
    task = selection.find(conn, word)
    few_done = figure is Figure.DONE and task.counts.done * FEW < task.jobs
    found = store.listed(conn, task.id, figure, first=first, limit=limit + 1, few_done=few_done)
    following = found[limit].ordinal if len(found) > limit else None
    matching = task.jobs if figure is None else task.counts[figure]
    return JobPage(task, tuple(found[:limit]), matching, following)


def show(conn: psycopg.Connection, text: str) -> JobReport:
    """Give all that is to be said of one job, `TASK/N`.

    Raises:
        BadInput: that is no address of one job.
        NotFound: there is no such task or job.
    """
    address = parse_one_job(text)
    task = selection.find(conn, str(address.task))
    ordinal = address.single
    assert ordinal is not None
    job = store.by_key(conn, task.id, ordinal)
    if job is None:
        raise no_such_job(task, ordinal)
    attempts = store.attempts(conn, task.id, ordinal, task_folder=task.folder)
    source = task_store.config(conn, task.id)
    path = f"{source.root}/{job.config}" if source.is_folder else source.root
    return JobReport(task, job, tuple(attempts), path)


def retry(conn: psycopg.Connection, texts: Sequence[str], user: User) -> list[JobsDone]:
    """Start jobs over, first in line; all jobs of a task that are named, or none of them.

    Raises:
        BadInput, NotFound: one of them is no job.
        Refused: a task's state does not allow it, a job is alive, or the task is somebody else's.
    """
    return [
        JobsDone(task, str(address), lifecycle.retry_jobs(conn, task.id, jobs, by=user.name))
        for task, address, jobs in _chosen(conn, texts, user)
    ]


def kill(
    conn: psycopg.Connection, texts: Sequence[str], user: User, why: str | None = None
) -> list[JobsDone]:
    """End jobs; those that have ended stay as they are.

    Raises:
        BadInput, NotFound: one of them is no job.
        Refused: a task's state does not allow it, or the task is somebody else's.
    """
    return [
        JobsDone(
            task, str(address), lifecycle.kill_jobs(conn, task.id, jobs, by=user.name, why=why)
        )
        for task, address, jobs in _chosen(conn, texts, user)
    ]


def _chosen(
    conn: psycopg.Connection, texts: Sequence[str], user: User
) -> list[tuple[Task, JobAddress, list[int]]]:
    """Check all before anything is done to the first."""
    chosen = []
    for text in texts:
        address = parse_job_address(text)
        task = selection.find(conn, str(address.task))
        check_may_change(user, task.owner, f"task {task.id} ({task.name})")
        if (last := address.ordinals[-1].stop - 1) >= task.jobs:
            raise no_such_job(task, last)
        if len(address) > AT_A_TIME:
            raise BadInput(
                f"{text} names {len(address):,} jobs; up to {AT_A_TIME:,} can be named at a time.",
                hint=f"maestro task retry {task.id} and task kill {task.id} are for whole tasks.",
            )
        chosen.append((task, address, list(address)))
    return chosen


def no_such_job(task: Task, ordinal: int) -> NotFound:
    """Say that a task has no job of that number."""
    has = "only 0" if task.jobs == 1 else f"0 to {task.jobs - 1}"
    return NotFound(
        f"task {task.id} ({task.name}) has no job {ordinal}; its jobs are numbered {has}.",
        hint=f"maestro job list {task.id}",
    )
