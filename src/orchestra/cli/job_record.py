"""A job and its attempts in words, and a job in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record, clean
from orchestra.domain.outcome_text import EXPLAINED_BY_REASON, describe_end
from orchestra.domain.states import JobStatus, job_status

if TYPE_CHECKING:
    from orchestra.domain.models.jobs import Attempt, Job


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
        reason = clean(attempt.reason)
        whole = attempt.cause in EXPLAINED_BY_REASON or reason.startswith(words)
        words = reason if whole else f"{words}: {reason}"
    return words if attempt.accepted else f"{words}; too late, another attempt had begun"


def job_record(job: Job) -> Record:
    """Return a job in JSON, as `job list` and `job show` have it."""
    return {
        "task_id": job.task_id,
        "ordinal": job.index,
        "state": status_of(job).value,
        "config": job.config,
        "removed": job.removed,
        "is_test": job.is_test,
        "attempts": job.attempts,
        "handed_back": job.handed_back,
        "failures": job.failures,
        "losses": job.losses,
        "done_attempt": job.done_attempt,
        "node": job.node,
        "cause": job.cause.value if job.cause else None,
        "exit_status": job.exit_status,
        "signal": job.signal,
        "reason": job.reason,
        "inputs_note": job.inputs_note,
        "started_at": job.started_at,
        "seconds": job.seconds,
        "changed_at": job.changed_at,
    }
