"""Changes that people make to single jobs: retry, kill."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput
from orchestra.domain.job_address import JobAddress, parse_job_address
from orchestra.domain.models.tasks import Task
from orchestra.domain.storable import check_reason
from orchestra.domain.wording import Action, words
from orchestra.interface.answers.jobs import JobsDone
from orchestra.services.jobs.views import no_such_job
from orchestra.services.tasks import lifecycle, selection
from orchestra.services.users.rights import check_may_change

AT_A_TIME = 100_000
"""Jobs that one command may name; for more there are the commands on tasks."""


def retry(conn: psycopg.Connection, caller: Caller, texts: Sequence[str]) -> list[JobsDone]:
    """Retry jobs, ahead of all others; of each task all that are named, or none.

    Raises:
        BadInput, NotFound: one of the jobs does not exist.
        Refused: a task's state does not allow it, a job is alive, or a task belongs to somebody else.
    """
    return [
        JobsDone(task, str(address), lifecycle.retry_jobs(conn, task.id, jobs, by=caller.name))
        for task, address, jobs in _chosen(conn, caller, texts)
    ]


def kill(
    conn: psycopg.Connection, caller: Caller, texts: Sequence[str], why: str | None = None
) -> list[JobsDone]:
    """Kill jobs; jobs that have ended stay as they are.

    Raises:
        BadInput, NotFound: one of the jobs does not exist.
        Refused: a task's state does not allow it, or it belongs to somebody else.
    """
    why = check_reason(why)
    return [
        JobsDone(
            task, str(address), lifecycle.kill_jobs(conn, task.id, jobs, by=caller.name, why=why)
        )
        for task, address, jobs in _chosen(conn, caller, texts)
    ]


def _chosen(
    conn: psycopg.Connection, caller: Caller, texts: Sequence[str]
) -> list[tuple[Task, JobAddress, list[int]]]:
    """Check all jobs before the first one is changed."""
    chosen = []
    for text in texts:
        address = parse_job_address(text)
        task = selection.find(conn, str(address.task))
        check_may_change(caller, task.owner, f"task {task.id} ({task.name})")
        if (last := address.indexes[-1].stop - 1) >= task.jobs:
            raise no_such_job(task, last)
        if len(address) > AT_A_TIME:
            raise BadInput(
                f"{text} names {len(address):,} jobs; up to {AT_A_TIME:,} can be named at a time.",
                hint=words(Action.RETRY_OR_KILL_TASK(task=task.id), " change whole tasks."),
            )
        chosen.append((task, address, list(address)))
    return chosen
