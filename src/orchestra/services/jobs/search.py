"""Finding jobs of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import psycopg

from orchestra.domain.models.job_choice import JobChoice
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobStatus
from orchestra.domain.storable import check_page
from orchestra.interface.answers.jobs import FoundJob, FoundJobs
from orchestra.interface.job_search import SearchJobs
from orchestra.services.jobs.matches import filter_of
from orchestra.services.jobs.views import has_few
from orchestra.services.tasks import selection
from orchestra.services.users import users
from orchestra.store.jobs import jobs as store
from orchestra.store.tasks import tasks as task_store

LOOKED = 20_000
"""Jobs that one answer looks at, at most, where they are filtered."""
TASKS = 200
"""Tasks that one answer looks into, at most."""
LATE = timedelta(days=1)
"""How long after the end of its task the outcome of a job that was given up may arrive, where changes are searched."""


def search(conn: psycopg.Connection, asked: SearchJobs) -> FoundJobs:
    """Return the next jobs that a search is for.

    Raises:
        NotFound: there is no such task or user.
        BadInput: a pattern, the reason or the page is invalid.
    """
    check_page(limit=asked.limit)
    wanted = replace(filter_of(_choice(asked)), since=asked.since)
    tasks = _tasks(conn, asked)
    exact = wanted == store.Filter()
    matching = sum(_count(task, asked.status) for task in tasks) if exact else None
    # What is not filtered is found at once.
    walk = _Walk(conn, asked, wanted, asked.limit if exact else LOOKED)
    following = walk.through([task for task in tasks if _may_match(task, asked)])
    return FoundJobs(tuple(walk.found), matching, following)


def _choice(asked: SearchJobs) -> JobChoice:
    return JobChoice(asked.status, asked.reason, asked.line, asked.node, asked.config)


class _Walk:
    """The way of one answer through tasks, newest first."""

    def __init__(
        self, conn: psycopg.Connection, asked: SearchJobs, wanted: store.Filter, look: int
    ) -> None:
        self.conn, self.asked, self.wanted = conn, asked, wanted
        self.look = look
        self.found: list[FoundJob] = []

    def through(self, tasks: Sequence[Task]) -> tuple[int, int] | None:
        """Look for jobs until there are enough or it has looked far enough; return where to go on."""
        start = self.asked.start
        left = [task for task in tasks if start is None or task.id <= start[0]]
        for place, task in enumerate(left):
            first = start[1] if start and task.id == start[0] else 0
            if place == TASKS or not self.look or len(self.found) == self.asked.limit:
                return task.id, first
            if (following := self._in(task, first)) is not None:
                return task.id, following
        return None

    def _in(self, task: Task, first: int) -> int | None:
        """Look for jobs of a task; return the number of the job to go on with, None at its end."""
        status, most = self.asked.status, self.asked.limit - len(self.found)
        page = store.matching(
            self.conn,
            task.id,
            status,
            self.wanted,
            first=first,
            look=self.look,
            most=most,
            few_done=has_few(task, status),
        )
        self.found += [FoundJob(job, task.name) for job in page.jobs]
        whole, self.look = page.looked < self.look, self.look - page.looked
        if len(page.jobs) == most:
            return page.jobs[-1].index + 1
        return None if whole or page.looked_to is None else page.looked_to + 1


def _tasks(conn: psycopg.Connection, asked: SearchJobs) -> Sequence[Task]:
    if asked.word is not None:
        return [selection.find(conn, asked.word)]
    if asked.owner is not None:
        users.get(conn, asked.owner)  # else a name with a typo would have no jobs
    return task_store.listed(conn, owner=asked.owner, every=True)[::-1]


def _count(task: Task, status: JobStatus | None) -> int:
    if status is None:
        return task.jobs
    # Removed jobs are killed ones that no count has.
    return task.counts[status] + (task.removed if status is JobStatus.KILLED else 0)


def _may_match(task: Task, asked: SearchJobs) -> bool:
    """Whether a task can have jobs that a search is for, as far as the task itself says."""
    if not _count(task, asked.status):
        return False
    if asked.since is None or task.state.is_live or task.pending_operation is not None:
        return True
    return max(task.ended_at or task.state_at, task.state_at) >= asked.since - LATE
