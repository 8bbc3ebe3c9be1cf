"""What an attempt's end means for its job. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from orchestra.domain.models import Outcome
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.domain.transitions import JobInput

POISONOUS_LOSSES = 5
"""Losses in a row after which a job is taken to kill its nodes."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What a verdict rests on. `failures` and `losses` are those before this outcome."""

    state: JobState
    task_state: TaskState
    is_test: bool
    kill_requested: bool
    failures: int
    losses: int
    retries: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The job's input, what it adds to the counters, and why the task is held by it, if it is."""

    given: JobInput
    failed: bool = False
    lost: bool = False
    hold: str | None = None


def judge(outcome: Outcome, job: JobFacts) -> Verdict:
    """Give what an accepted outcome does to its job.

    A success counts whatever was asked for. A job that was to be killed is killed however else it ended.
    What is no fault of the job (an input changed, no folder, given back) costs it nothing.
    """
    ending = job.kill_requested or job.task_state in (TaskState.KILL, TaskState.KILLED)
    if outcome.succeeded:
        return Verdict(JobInput.SUCCEED)
    match outcome.cause:
        case Cause.RETURNED if not ending:
            return Verdict(JobInput.GIVE_BACK)
        case Cause.INPUT | Cause.VOLUME if not ending:
            return Verdict(JobInput.GIVE_BACK, hold=outcome.reason)
        case Cause.LOST | Cause.LEASE if not ending:
            return _lost(job)
        case (
            Cause.EXIT
            | Cause.SIGNAL
            | Cause.TIMEOUT
            | Cause.ENDED
            | Cause.NO_START
            | Cause.NOT_COMPLETE
            | Cause.RETURNED
            | Cause.INPUT
            | Cause.VOLUME
            | Cause.LOST
            | Cause.LEASE
        ):
            if ending:
                return Verdict(JobInput.KILL)
            return _failed(job)
        case _:
            assert_never(outcome.cause)


def _lost(job: JobFacts) -> Verdict:
    poisonous = job.losses + 1 >= POISONOUS_LOSSES
    return Verdict(JobInput.POISON if poisonous else JobInput.LOSE, lost=True)


def _failed(job: JobFacts) -> Verdict:
    retry = not job.is_test and job.failures < job.retries
    return Verdict(JobInput.FAIL if retry else JobInput.FAIL_FOR_GOOD, failed=True)
