"""What an attempt's end means for its job. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.domain.transitions import JobInput

POISONOUS_LOSSES = 5
"""Losses in a row after which a job is taken to kill its nodes."""


RETRY_FIRST = 2.0
RETRY_AT_MOST = 300.0
"""Seconds before the first and at most before any further retry."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What a verdict rests on. `failures` and `losses` are those before this outcome.

    `given_up` says that its attempt was declared lost before: the job went back then.
    """

    state: JobState
    task_state: TaskState
    is_test: bool
    kill_requested: bool
    failures: int
    losses: int
    retries: int
    given_up: bool = False

    @property
    def in_test(self) -> bool:
        """Whether the task's test rests on it."""
        return self.is_test and self.task_state is TaskState.TESTING


@dataclass(frozen=True, slots=True)
class OutcomeDecision:
    """The job's input (None: it is only recorded), what it adds to the counters, why its task is held, if it is."""

    given: JobInput | None
    failed: bool = False
    lost: bool = False
    hold: str | None = None


def decide_outcome(outcome: Outcome, job: JobFacts) -> OutcomeDecision:
    """Give what the outcome of a job's latest attempt does to the job.

    A success counts whatever was asked for, and however late it comes. A job that was to be killed is killed however
    else it ended. What is no fault of the job (an input changed, no folder, given back, its lease over) costs it
    nothing. A job that was given up already is changed by what it did itself alone, not by its being ended then.
    """
    ending = job.kill_requested or job.task_state in (TaskState.KILL, TaskState.KILLED)
    if outcome.succeeded:
        return OutcomeDecision(JobInput.SUCCEED)
    if job.given_up and outcome.cause not in _OWN_DOING:
        return OutcomeDecision(None)
    match outcome.cause:
        case Cause.RETURNED if not ending:
            return OutcomeDecision(JobInput.GIVE_BACK)
        case Cause.INPUT | Cause.VOLUME if not ending:
            return OutcomeDecision(JobInput.GIVE_BACK, hold=outcome.reason)
        case Cause.UNHEARD | Cause.LEASE if not ending:
            return OutcomeDecision(JobInput.LOSE)
        case Cause.NO_CONTAINER if not (ending or job.in_test):
            return OutcomeDecision(JobInput.LOSE)
        case Cause.LOST if not ending:
            return _lost(job)
        case (
            Cause.EXIT
            | Cause.SIGNAL
            | Cause.OUT_OF_MEMORY
            | Cause.GPU_OUT_OF_MEMORY
            | Cause.TIMEOUT
            | Cause.ENDED
            | Cause.NO_START
            | Cause.NO_CONTAINER
            | Cause.NOT_COMPLETE
            | Cause.RETURNED
            | Cause.INPUT
            | Cause.VOLUME
            | Cause.LOST
            | Cause.UNHEARD
            | Cause.LEASE
        ):
            if ending:
                return OutcomeDecision(JobInput.KILL)
            return _failed(job)
        case _:
            assert_never(outcome.cause)


_OWN_DOING = frozenset(
    {
        Cause.OUT_OF_MEMORY,
        Cause.GPU_OUT_OF_MEMORY,
        Cause.EXIT,
        Cause.SIGNAL,
        Cause.TIMEOUT,
        Cause.NO_START,
        Cause.NOT_COMPLETE,
    }
)


def _lost(job: JobFacts) -> OutcomeDecision:
    poisonous = job.losses + 1 >= POISONOUS_LOSSES
    return OutcomeDecision(JobInput.POISON if poisonous else JobInput.LOSE, lost=True)


def _failed(job: JobFacts) -> OutcomeDecision:
    retry = not job.is_test and job.failures < job.retries
    return OutcomeDecision(JobInput.FAIL if retry else JobInput.FAIL_FOR_GOOD, failed=True)


def retry_delay(failures: int, chance: float) -> float:
    """Give the seconds until a job that has failed so often (1 or more) is tried again.

    They double from time to time up to a limit; `chance`, evenly from 0 to 1, spreads them over the last half, so that
    jobs that failed together do not come back together.
    """
    longest = min(RETRY_AT_MOST, RETRY_FIRST * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + 0.5 * chance)
