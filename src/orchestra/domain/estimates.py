"""Estimates of when a task will end. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from orchestra.domain import dependencies
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import TaskState

ENOUGH_DONE = 3
"""Jobs that must have ended before their rate is used."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The seconds until a task ends, or a few words on why that is unknown. Both are None when it has ended."""

    seconds: float | None = None
    words: str | None = None


def estimate_end(task: Task, now: datetime) -> Estimate:
    """Estimate when a task ends: jobs left / jobs at a time x typical duration.

    Without a typical duration, the rate of the current run is used; without either, there is no estimate.
    """
    if not task.state.is_live:
        return Estimate()
    if task.hold:
        return Estimate(words="held")
    if task.after:
        return Estimate(words=dependencies.short(task.after))
    match task.state:
        case TaskState.REGISTERED:
            return Estimate(words="-")
        case TaskState.TESTING:
            return Estimate(words="after the test")
        case TaskState.KILL:
            return Estimate(words="being ended")
        case _:
            seconds = _seconds_left(task, now)
            return Estimate(words="-") if seconds is None else Estimate(seconds)


def _seconds_left(task: Task, now: datetime) -> float | None:
    counts = task.counts
    left = task.active_jobs - counts.ended
    at_a_time = counts.running + counts.testing
    if task.policy.max_running is not None:  # more may run since before it was lowered
        at_a_time = min(at_a_time, task.policy.max_running)
    if task.typical_seconds is not None and at_a_time:
        # The running jobs are half done on average.
        return task.typical_seconds * max(left - at_a_time / 2, 0.5) / at_a_time
    if task.work_started_at and counts.ended >= ENOUGH_DONE and task.run == 1 and at_a_time:
        elapsed = (now - task.work_started_at).total_seconds()
        return elapsed * left / counts.ended
    return None
