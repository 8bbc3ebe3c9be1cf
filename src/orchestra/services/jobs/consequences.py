"""What an action on a task would do, without doing it."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.consequences import Affected, Setting, TaskAction, sentences
from orchestra.domain.errors import NotAllowed
from orchestra.domain.models.job_choice import JobChoice
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, JobStatus, Queue, TaskState
from orchestra.domain.transitions import Refusal, TaskInput, task_transition
from orchestra.interface.answers.consequences import Consequences
from orchestra.services.jobs import matches
from orchestra.services.tasks import selection
from orchestra.services.users.rights import check_may_change
from orchestra.store.jobs import jobs as store
from orchestra.store.tasks import chains

PAGES = 8
"""Pages of jobs that a preview looks at: 40,000 jobs."""
_INPUTS = {
    TaskAction.HOLD: TaskInput.HOLD,
    TaskAction.RELEASE: TaskInput.RELEASE,
    TaskAction.RETRY: TaskInput.RETRY,
    TaskAction.RETRY_ALL: TaskInput.RETRY_ALL,
    TaskAction.KILL: TaskInput.KILL,
    TaskAction.DELETE: TaskInput.DELETE,
    TaskAction.RETRY_JOBS: TaskInput.JOB_RETRY,
    TaskAction.KILL_JOBS: TaskInput.JOB_KILL,
}


def of_action(
    conn: psycopg.Connection, caller: Caller, word: str, action: TaskAction, choice: JobChoice
) -> Consequences:
    """Return what an action on a task, or on its jobs that match a filter, would do.

    Raises:
        BadInput: the filter is invalid.
        NotFound: there is no such task.
    """
    task = selection.find(conn, word)
    affected = _affected(conn, task, action, choice)
    followers = tuple(f"task {id_} ({name})" for id_, name in chains.followers(conn, task.id))
    setting = Setting(
        task.queue,
        jobs=task.active_jobs,
        running=task.counts.living,
        done=task.counts.done,
        followers=followers,
        folder=task.folder,
    )
    return Consequences(
        task,
        action,
        affected,
        tuple(sentences(action, affected, setting)),
        refusal=_refusal(caller, task, action),
    )


def _refusal(caller: Caller, task: Task, action: TaskAction) -> str | None:
    """Return why the action is not possible now, or not for the caller."""
    try:
        check_may_change(caller, task.owner, f"task {task.id} ({task.name})")
    except NotAllowed as error:
        return str(error)
    step = task_transition(task.state, _INPUTS[action])
    if isinstance(step, Refusal):
        return f"task {task.id} ({task.name}) does not allow this now: {step.reason}."
    if step.again:
        return f"task {task.id} ({task.name}) is {task.state} already."
    return None


def _affected(
    conn: psycopg.Connection, task: Task, action: TaskAction, choice: JobChoice
) -> Affected:
    counts = task.counts
    waits = counts.registered + counts.assigned
    match action:
        case TaskAction.HOLD | TaskAction.RELEASE:
            return Affected(waits=waits)
        case TaskAction.KILL:
            ends, used = store.used_by_running(conn, task.id)
            return Affected(ends, used, waits=max(0, task.active_jobs - counts.ended - ends))
        case TaskAction.RETRY | TaskAction.RETRY_ALL:
            all_of_them = action is TaskAction.RETRY_ALL or task.state is TaskState.DONE
            again = task.active_jobs - (0 if all_of_them else counts.done)
            return _again(task, again, counts.done if all_of_them else 0, exact=True)
        case TaskAction.RETRY_JOBS:
            return _retry_jobs(conn, task, choice)
        case TaskAction.KILL_JOBS:
            return _kill_jobs(conn, task, choice)
        case TaskAction.DELETE:
            return Affected()


def _retry_jobs(conn: psycopg.Connection, task: Task, choice: JobChoice) -> Affected:
    statuses, wanted = matches.retryable(choice), matches.filter_of(choice)
    if not choice.is_filter:
        again = sum(task.counts[status] for status in statuses)
        done = task.counts.done if JobStatus.DONE in statuses else 0
        return _again(task, again, done, exact=True)
    again = done = 0
    exact = True
    for page in _first_ones(matches.pages(conn, task, wanted, statuses)):
        jobs = [job for job in page.jobs if not job.removed]
        again += len(jobs)
        done += sum(job.state is JobState.DONE for job in jobs)
        exact = page.following is None
    return _again(task, again, done, exact=exact)


def _kill_jobs(conn: psycopg.Connection, task: Task, choice: JobChoice) -> Affected:
    statuses, wanted = matches.killable(choice), matches.filter_of(choice)
    ends = waits = 0
    used, exact = 0.0, True
    for page in _first_ones(matches.pages(conn, task, wanted, statuses)):
        running, seconds = store.used_by_running(conn, task.id, [job.index for job in page.jobs])
        ends, used = ends + running, used + seconds
        waits += len(page.jobs) - running
        exact = page.following is None
    return Affected(ends, used, waits=waits, exact=exact)


def _first_ones(pages: Iterable[matches.Page]) -> Iterable[matches.Page]:
    """Yield pages as far as a preview looks."""
    for number, page in enumerate(pages, start=1):
        yield page
        if number == PAGES:
            return


def _again(task: Task, jobs: int, done: int, *, exact: bool) -> Affected:
    resources = task.resources
    slots = resources.cores if task.queue is Queue.CPU else max(1, resources.gpus)
    seconds = None if task.typical_seconds is None else task.typical_seconds * slots * jobs
    return Affected(again=jobs, done_again=done, again_seconds=seconds, exact=exact)
