"""A job and its attempts in words, and what an action on one job would do. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from orchestra.domain.human import about, compute_time
from orchestra.domain.models.jobs import Attempt, Job
from orchestra.domain.models.tasks import Task
from orchestra.domain.outcome_text import EXPLAINED_BY_REASON, describe_end
from orchestra.domain.states import JobState, JobStatus, TaskState, job_status


def status_of(job: Job) -> JobStatus:
    """Return the state in which `task list --counts` counts a job."""
    return job_status(
        job.state, is_test=job.is_test, kill_requested=job.kill_requested, claimed=job.claimed
    )


def state_word(job: Job) -> str:
    """Return the state of a job as people read it: an assigned job is waiting, one without a config is removed."""
    found = status_of(job)
    if job.removed and found is JobStatus.KILLED:
        return "removed"
    return "waiting" if found is JobStatus.ASSIGNED else found.value


def end_words(ended: Job | Attempt) -> str:
    """Return how a job or an attempt ended: "exit status 3"."""
    if ended.cause is None:
        return ""
    return describe_end(ended.cause, ended.exit_status, ended.signal)


def attempt_state(attempt: Attempt) -> str:
    """Return the state of an attempt in words, or how it ended."""
    if attempt.cause is None:
        if attempt.lost_at:
            return "lost; its end was not reported"
        return "running" if attempt.started_at else "about to start"
    words = end_words(attempt)
    if attempt.reason:
        reason = attempt.reason
        whole = attempt.cause in EXPLAINED_BY_REASON or reason.startswith(words)
        words = reason if whole else f"{words}: {reason}"
    return words if attempt.accepted else f"{words}; too late, another attempt had begun"


def is_alive(attempt: Attempt) -> bool:
    """Whether an attempt runs, as far as is known."""
    return attempt.started_at is not None and attempt.ended_at is None and attempt.lost_at is None


def kill_consequences(
    task: Task, job: Job, attempts: tuple[Attempt, ...], now: datetime
) -> Iterator[str]:
    """Yield what a kill of a job would do, in sentences."""
    latest = attempts[-1] if attempts else None
    if latest and latest.started_at and is_alive(latest):
        lasted = (now - latest.started_at).total_seconds()
        slots = max(latest.gpus, 1) if task.resources.gpus else latest.cores
        unit = "GPU" if task.resources.gpus else "CPU"
        yield (
            f"Its process on node {latest.node} is ended. It has run for {about(lasted)} "
            f"({compute_time(lasted * slots, unit)})."
        )
    else:
        yield "It has not started, and will not."
    if job.is_test and task.state is TaskState.TESTING:
        yield "It is a test job: its task becomes BROKEN, and its other jobs are not started."
    yield "It can be retried."


def retry_consequences(task: Task, job: Job) -> Iterator[str]:
    """Yield what a retry of a job would do, in sentences."""
    yield f"It runs again, before all others, as attempt {job.attempts + 1} in a new folder."
    if job.state is JobState.DONE:
        yield "Its result is replaced when that attempt succeeds."
    if not task.state.is_live:
        yield f"Its task is {task.state} and becomes RUNNING until the job has ended."
