"""A job in JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.output import Record
from orchestra.domain.job_text import status_of

if TYPE_CHECKING:
    from orchestra.domain.models.jobs import Job


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
