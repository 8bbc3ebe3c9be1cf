"""The transition tables of tasks and jobs, and pure functions to look them up.

`task_transition` and `next_job_state` are total: every pair of state and input is either a transition or a refusal with
a reason. Nothing else in Orchestra decides on a new state.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from orchestra.domain.states import ENDED_TASK_STATES, JobState, PendingOperation, TaskState
from orchestra.domain.wording import Field, Sentence, words

KILL_FIRST = words("Kill it first, or use ", Field.FORCE(True), " to do both.")


class TaskInput(StrEnum):
    """What can happen to a task: first what the conductor observes, then what users request."""

    BEGIN_TEST = "begin_test"
    BEGIN = "begin"
    TEST_PASSED = "test_passed"
    TEST_FAILED = "test_failed"
    TEST_OVER = "test_over"
    ALL_DONE = "all_done"
    ALL_ENDED = "all_ended"
    FAILS_REACHED = "fails_reached"
    ALL_DEAD = "all_dead"

    HOLD = "hold"
    RELEASE = "release"
    KILL = "kill"
    RETRY = "retry"
    RETRY_ALL = "retry_all"
    UPDATE = "update"
    """Its inputs are taken as they are now, for what is not done."""
    ADD = "add"
    """Jobs are added to it, and only these run."""
    JOB_RETRY = "job_retry"
    JOB_KILL = "job_kill"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class TaskTransition:
    """The new state of a task, and the operation on its jobs that goes with it.

    `new_run`: the retry counters and times of the task start over. `hold`: the task is also held. `again`: the task is
    already in that state, which is reported and not an error.
    """

    state: TaskState
    pending_operation: PendingOperation | None = None
    new_run: bool = False
    hold: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an input is not possible in a state, and what to do instead."""

    reason: str
    hint: Sentence | None = None


_T, _I = TaskState, TaskInput

_TASK_TABLE: dict[tuple[TaskState, TaskInput], TaskTransition] = {
    (_T.REGISTERED, _I.BEGIN_TEST): TaskTransition(_T.TESTING),
    (_T.REGISTERED, _I.BEGIN): TaskTransition(_T.RUNNING),
    (_T.TESTING, _I.TEST_PASSED): TaskTransition(_T.RUNNING),
    (_T.TESTING, _I.TEST_FAILED): TaskTransition(_T.TESTING, PendingOperation.END_TEST),
    (_T.TESTING, _I.TEST_OVER): TaskTransition(_T.BROKEN, PendingOperation.BREAK),
    (_T.RUNNING, _I.ALL_DONE): TaskTransition(_T.DONE),
    (_T.RUNNING, _I.ALL_ENDED): TaskTransition(_T.FINALIZED),
    (_T.RUNNING, _I.FAILS_REACHED): TaskTransition(_T.RUNNING, hold=True),
    (_T.KILL, _I.ALL_DEAD): TaskTransition(_T.KILLED),
    (_T.REGISTERED, _I.KILL): TaskTransition(_T.KILL, PendingOperation.KILL),
    (_T.TESTING, _I.KILL): TaskTransition(_T.KILL, PendingOperation.KILL),
    (_T.RUNNING, _I.KILL): TaskTransition(_T.KILL, PendingOperation.KILL),
    (_T.DONE, _I.RETRY): TaskTransition(_T.REGISTERED, PendingOperation.RETRY_ALL, new_run=True),
    (_T.FINALIZED, _I.RETRY): TaskTransition(_T.RUNNING, PendingOperation.RETRY, new_run=True),
    (_T.BROKEN, _I.RETRY): TaskTransition(_T.REGISTERED, PendingOperation.RETRY, new_run=True),
    (_T.KILLED, _I.RETRY): TaskTransition(_T.REGISTERED, PendingOperation.RETRY, new_run=True),
    # A DONE task without new configs has nothing left to run.
    (_T.DONE, _I.UPDATE): TaskTransition(_T.DONE),
    (_T.FINALIZED, _I.UPDATE): TaskTransition(_T.RUNNING, PendingOperation.RETRY, new_run=True),
    (_T.BROKEN, _I.UPDATE): TaskTransition(_T.REGISTERED, PendingOperation.RETRY, new_run=True),
    (_T.KILLED, _I.UPDATE): TaskTransition(_T.REGISTERED, PendingOperation.RETRY, new_run=True),
    (_T.DONE, _I.ADD): TaskTransition(_T.RUNNING, new_run=True),
    (_T.FINALIZED, _I.ADD): TaskTransition(_T.RUNNING, new_run=True),
    (_T.BROKEN, _I.ADD): TaskTransition(_T.REGISTERED, new_run=True),
    (_T.KILLED, _I.ADD): TaskTransition(_T.REGISTERED, new_run=True),
    **{
        (state, given): TaskTransition(state)
        for state in (_T.REGISTERED, _T.TESTING, _T.RUNNING)
        for given in (_I.UPDATE, _I.ADD)
    },
    (_T.TESTING, _I.JOB_RETRY): TaskTransition(_T.TESTING),
    (_T.RUNNING, _I.JOB_RETRY): TaskTransition(_T.RUNNING),
    (_T.TESTING, _I.JOB_KILL): TaskTransition(_T.TESTING),
    (_T.RUNNING, _I.JOB_KILL): TaskTransition(_T.RUNNING),
    **{
        (state, _I.RETRY_ALL): TaskTransition(
            _T.REGISTERED, PendingOperation.RETRY_ALL, new_run=True
        )
        for state in ENDED_TASK_STATES
    },
    **{
        (state, _I.JOB_RETRY): TaskTransition(_T.RUNNING, new_run=True)
        for state in ENDED_TASK_STATES
    },
    **{
        (state, _I.KILL): TaskTransition(state, again=True)
        for state in ENDED_TASK_STATES | {_T.KILL}
    },
    **{(state, _I.HOLD): TaskTransition(state, hold=True) for state in TaskState if state.is_live},
    **{(state, _I.RELEASE): TaskTransition(state) for state in TaskState if state.is_live},
    **{(state, _I.DELETE): TaskTransition(state) for state in ENDED_TASK_STATES},
}


def task_transition(state: TaskState, given: TaskInput) -> TaskTransition | Refusal:
    """Return the transition of a task in `state`, or why the input is refused."""
    return _TASK_TABLE.get((state, given)) or _refuse_task(state, given)


def _refuse_task(state: TaskState, given: TaskInput) -> Refusal:
    match given:
        case _I.RETRY | _I.RETRY_ALL | _I.UPDATE | _I.ADD:
            if state is _T.KILL:
                return Refusal("its jobs are still being ended", "Retry it once it is KILLED.")
            return Refusal(
                f"it is {state} and its jobs are not finished", "To start over, kill it first."
            )
        case _I.JOB_RETRY | _I.JOB_KILL:
            if state is _T.KILL:
                return Refusal("the whole task is being killed")
            if state is _T.REGISTERED:
                return Refusal("its jobs have not been released yet")
            return Refusal(f"it is {state}; none of its jobs is alive")
        case _I.HOLD | _I.RELEASE:
            return Refusal(f"it is {state}; none of its jobs is waiting")
        case _I.DELETE:
            return Refusal(f"it is {state}", KILL_FIRST)
        case _I.KILL:
            raise AssertionError("every state takes a kill")
        case (
            _I.BEGIN_TEST
            | _I.BEGIN
            | _I.TEST_PASSED
            | _I.TEST_FAILED
            | _I.TEST_OVER
            | _I.ALL_DONE
            | _I.ALL_ENDED
            | _I.FAILS_REACHED
            | _I.ALL_DEAD
        ):
            return Refusal(f"{given} does not apply to a task that is {state}")
        case _:
            assert_never(given)


class JobInput(StrEnum):
    """What can happen to a job."""

    RELEASE = "release"
    """The conductor releases it."""
    WITHDRAW = "withdraw"
    """The conductor takes it back before a pilot has claimed it."""
    START = "start"
    """Its attempt's process exists."""
    SUCCEED = "succeed"
    """Its latest attempt succeeded, even if it had been declared lost."""
    FAIL = "fail"
    """Its latest attempt failed and a retry is left."""
    FAIL_FOR_GOOD = "fail_for_good"
    """Its latest attempt failed and no retry is left."""
    LOSE = "lose"
    """How its attempt ended is unknown; this costs no retry."""
    POISON = "poison"
    """The same, too often in a row."""
    REQUEUE = "requeue"
    """Its attempt never started, through no fault of the job."""
    KILL = "kill"
    """A user killed it, and none of its processes is alive."""
    BREAK = "break"
    """Its task broke."""
    RETRY = "retry"
    """A user starts it over."""


_J, _K = JobState, JobInput

# An outcome counts as long as its attempt is the job's latest one. An attempt that was declared lost has left its job
# assigned, withdrawn (registered) or failed (poisonous), and its task may have been killed or broken since, hence these
# rows. The task keeps its state; only a success changes such a job.
_ATTEMPTED = (_J.ASSIGNED, _J.RUNNING)
_GIVEN_UP = (_J.REGISTERED, _J.FAILED)
_AT_REST = (_J.REGISTERED, _J.ASSIGNED, _J.FAILED, _J.KILLED, _J.BROKEN)

_JOB_TABLE: dict[tuple[JobState, JobInput], JobState] = {
    (_J.REGISTERED, _K.RELEASE): _J.ASSIGNED,
    (_J.ASSIGNED, _K.WITHDRAW): _J.REGISTERED,
    (_J.ASSIGNED, _K.START): _J.RUNNING,
    **{(state, _K.SUCCEED): _J.DONE for state in (*_ATTEMPTED, *_AT_REST)},
    **{(state, _K.FAIL): _J.ASSIGNED for state in _ATTEMPTED},
    **{(state, _K.FAIL_FOR_GOOD): _J.FAILED for state in _ATTEMPTED + _GIVEN_UP},
    **{(state, _K.LOSE): _J.ASSIGNED for state in _ATTEMPTED},
    **{(state, _K.POISON): _J.FAILED for state in _ATTEMPTED},
    (_J.ASSIGNED, _K.REQUEUE): _J.ASSIGNED,
    (_J.RUNNING, _K.KILL): _J.KILLED,
    **{(state, _K.KILL): _J.KILLED for state in _AT_REST},
    **{(state, _K.BREAK): _J.BROKEN for state in _AT_REST},
    **{(state, _K.RETRY): _J.REGISTERED for state in (*_AT_REST, _J.DONE)},
}


def next_job_state(state: JobState, given: JobInput) -> JobState | Refusal:
    """Return the new state of a job in `state`, or why the input is refused."""
    return _JOB_TABLE.get((state, given)) or Refusal(
        f"{given} does not apply to a job that is {state}"
    )


def job_transitions() -> frozenset[tuple[JobState, JobState]]:
    """Return every (from, to) that the database allows.

    One report may start and end a job in one statement, so two steps through `running` are included.
    """
    single = {(state, target) for (state, _), target in _JOB_TABLE.items()}
    through_running = {
        (_J.ASSIGNED, target) for (state, _), target in _JOB_TABLE.items() if state is _J.RUNNING
    }
    return frozenset(single | through_running)


def task_transitions() -> frozenset[tuple[TaskState, TaskState]]:
    """Return every (from, to) that the database allows."""
    return frozenset((state, step.state) for (state, _), step in _TASK_TABLE.items())
