"""What happens to a job when an attempt ends: done, retried, failed, lost, killed. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.domain.transitions import JobInput

POISONOUS_LOSSES = 5
"""Losses in a row after which a job is assumed to kill its nodes."""


RETRY_FIRST = 2.0
RETRY_AT_MOST = 300.0
"""Seconds before the first retry, and at most before any retry."""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """The facts that a decision depends on. `failures` and `losses` are those before this outcome.

    `given_up`: the attempt was declared lost before, and the job was requeued then.
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
        """Whether the task's test depends on this job."""
        return self.is_test and self.task_state is TaskState.TESTING


@dataclass(frozen=True, slots=True)
class OutcomeDecision:
    """The job's input (None: only record the outcome), what to count, and why to hold the task, if so."""

    given: JobInput | None
    failed: bool = False
    lost: bool = False
    hold: str | None = None


def decide_outcome(outcome: Outcome, job: JobFacts) -> OutcomeDecision:
    """Decide what the outcome of a job's latest attempt does to the job.

    A success always counts, however late it is reported. A job to be killed is killed however else it ended. An outcome
    that is not the job's fault (a changed input, no folder, requeued, an expired lease, a closed node) costs no retry.
    A job whose attempt was declared lost is changed only by what the command did itself, not by its being ended
    afterwards.
    """
    ending = job.kill_requested or job.task_state in (TaskState.KILL, TaskState.KILLED)
    if outcome.succeeded:
        return OutcomeDecision(JobInput.SUCCEED)
    if job.given_up and outcome.cause not in _OWN_DOING:
        return OutcomeDecision(None)
    match outcome.cause:
        case Cause.RETURNED if not ending:
            return OutcomeDecision(JobInput.REQUEUE)
        case Cause.INPUT | Cause.VOLUME if not ending:
            return OutcomeDecision(JobInput.REQUEUE, hold=outcome.reason)
        case Cause.UNHEARD | Cause.LEASE | Cause.CLOSED if not ending:
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
            | Cause.CLOSED
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
    """Return the seconds before the next retry of a job that has failed `failures` times (at least once).

    Exponential backoff up to a limit. `chance`, uniform from 0 to 1, spreads the delay over its last half, so that jobs
    that failed together are not retried together.
    """
    longest = min(RETRY_AT_MOST, RETRY_FIRST * 2.0 ** min(failures - 1, 30))
    return longest * (0.5 + 0.5 * chance)
