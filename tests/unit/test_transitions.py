"""The tables are complete: every pair of state and input is a step that design allows, or a refusal with a reason."""

from __future__ import annotations

import pytest

from orchestra.domain.states import ENDED_TASK_STATES, JobState, PendingOperation, TaskState
from orchestra.domain.transitions import (
    JobInput,
    Refusal,
    TaskInput,
    TaskTransition,
    job_transitions,
    next_job_state,
    task_transition,
    task_transitions,
)

T, G = TaskState, TaskInput

# Written down by hand from the design, so that the table cannot agree with itself alone.
TASK_STEPS: dict[tuple[TaskState, TaskInput], TaskState] = {
    (T.REGISTERED, G.BEGIN_TEST): T.TESTING,
    (T.REGISTERED, G.BEGIN): T.RUNNING,
    (T.REGISTERED, G.KILL): T.KILL,
    (T.REGISTERED, G.HOLD): T.REGISTERED,
    (T.REGISTERED, G.RELEASE): T.REGISTERED,
    (T.TESTING, G.TEST_PASSED): T.RUNNING,
    (T.TESTING, G.TEST_FAILED): T.TESTING,
    (T.TESTING, G.TEST_OVER): T.BROKEN,
    (T.TESTING, G.KILL): T.KILL,
    (T.TESTING, G.HOLD): T.TESTING,
    (T.TESTING, G.RELEASE): T.TESTING,
    (T.TESTING, G.JOB_RETRY): T.TESTING,
    (T.TESTING, G.JOB_KILL): T.TESTING,
    (T.RUNNING, G.ALL_DONE): T.DONE,
    (T.RUNNING, G.ALL_ENDED): T.FINALIZED,
    (T.RUNNING, G.FAILS_REACHED): T.RUNNING,
    (T.RUNNING, G.KILL): T.KILL,
    (T.RUNNING, G.HOLD): T.RUNNING,
    (T.RUNNING, G.RELEASE): T.RUNNING,
    (T.RUNNING, G.JOB_RETRY): T.RUNNING,
    (T.RUNNING, G.JOB_KILL): T.RUNNING,
    (T.KILL, G.ALL_DEAD): T.KILLED,
    (T.KILL, G.KILL): T.KILL,
    (T.KILL, G.HOLD): T.KILL,
    (T.KILL, G.RELEASE): T.KILL,
    (T.DONE, G.RETRY): T.REGISTERED,
    (T.FINALIZED, G.RETRY): T.RUNNING,
    (T.BROKEN, G.RETRY): T.REGISTERED,
    (T.KILLED, G.RETRY): T.REGISTERED,
}
for live in (T.REGISTERED, T.TESTING, T.RUNNING):
    TASK_STEPS[live, G.UPDATE] = live
    TASK_STEPS[live, G.ADD] = live
for ended in (T.DONE, T.FINALIZED, T.BROKEN, T.KILLED):
    again = T.RUNNING if ended in (T.DONE, T.FINALIZED) else T.REGISTERED
    TASK_STEPS[ended, G.UPDATE] = T.DONE if ended is T.DONE else again
    TASK_STEPS[ended, G.ADD] = again
    TASK_STEPS[ended, G.RETRY_ALL] = T.REGISTERED
    TASK_STEPS[ended, G.JOB_RETRY] = T.RUNNING
    TASK_STEPS[ended, G.KILL] = ended
    TASK_STEPS[ended, G.DELETE] = ended

J, K = JobState, JobInput
JOB_STEPS: dict[tuple[JobState, JobInput], JobState] = {
    (J.REGISTERED, K.RELEASE): J.ASSIGNED,
    (J.REGISTERED, K.SUCCEED): J.DONE,
    (J.REGISTERED, K.FAIL_FOR_GOOD): J.FAILED,
    (J.REGISTERED, K.KILL): J.KILLED,
    (J.REGISTERED, K.BREAK): J.BROKEN,
    (J.REGISTERED, K.RETRY): J.REGISTERED,
    (J.ASSIGNED, K.WITHDRAW): J.REGISTERED,
    (J.ASSIGNED, K.START): J.RUNNING,
    (J.ASSIGNED, K.SUCCEED): J.DONE,
    (J.ASSIGNED, K.FAIL): J.ASSIGNED,
    (J.ASSIGNED, K.FAIL_FOR_GOOD): J.FAILED,
    (J.ASSIGNED, K.LOSE): J.ASSIGNED,
    (J.ASSIGNED, K.POISON): J.FAILED,
    (J.ASSIGNED, K.REQUEUE): J.ASSIGNED,
    (J.ASSIGNED, K.KILL): J.KILLED,
    (J.ASSIGNED, K.BREAK): J.BROKEN,
    (J.ASSIGNED, K.RETRY): J.REGISTERED,
    (J.RUNNING, K.SUCCEED): J.DONE,
    (J.RUNNING, K.FAIL): J.ASSIGNED,
    (J.RUNNING, K.FAIL_FOR_GOOD): J.FAILED,
    (J.RUNNING, K.LOSE): J.ASSIGNED,
    (J.RUNNING, K.POISON): J.FAILED,
    (J.RUNNING, K.KILL): J.KILLED,
    (J.DONE, K.RETRY): J.REGISTERED,
    (J.FAILED, K.SUCCEED): J.DONE,
    (J.FAILED, K.FAIL_FOR_GOOD): J.FAILED,
    (J.FAILED, K.KILL): J.KILLED,
    (J.FAILED, K.BREAK): J.BROKEN,
    (J.FAILED, K.RETRY): J.REGISTERED,
    (J.KILLED, K.SUCCEED): J.DONE,
    (J.KILLED, K.KILL): J.KILLED,
    (J.KILLED, K.BREAK): J.BROKEN,
    (J.KILLED, K.RETRY): J.REGISTERED,
    (J.BROKEN, K.SUCCEED): J.DONE,
    (J.BROKEN, K.KILL): J.KILLED,
    (J.BROKEN, K.BREAK): J.BROKEN,
    (J.BROKEN, K.RETRY): J.REGISTERED,
}


@pytest.mark.parametrize("state", TaskState)
@pytest.mark.parametrize("given", TaskInput)
def test_every_pair_of_task_state_and_input(state: TaskState, given: TaskInput) -> None:
    step = task_transition(state, given)
    expected = TASK_STEPS.get((state, given))
    if expected is None:
        assert isinstance(step, Refusal)
        assert len(step.reason) > 5
    else:
        assert isinstance(step, TaskTransition)
        assert step.state is expected


@pytest.mark.parametrize("state", JobState)
@pytest.mark.parametrize("given", JobInput)
def test_every_pair_of_job_state_and_input(state: JobState, given: JobInput) -> None:
    after = next_job_state(state, given)
    expected = JOB_STEPS.get((state, given))
    if expected is None:
        assert isinstance(after, Refusal)
        assert after.reason
    else:
        assert after is expected


def test_steps_that_move_many_jobs_say_which() -> None:
    def pending_operation(state: TaskState, given: TaskInput) -> PendingOperation | None:
        step = task_transition(state, given)
        assert isinstance(step, TaskTransition)
        return step.pending_operation

    assert pending_operation(T.TESTING, G.TEST_FAILED) is PendingOperation.END_TEST
    assert pending_operation(T.TESTING, G.TEST_OVER) is PendingOperation.BREAK
    assert pending_operation(T.RUNNING, G.KILL) is PendingOperation.KILL
    assert pending_operation(T.DONE, G.RETRY) is PendingOperation.RETRY_ALL
    assert pending_operation(T.FINALIZED, G.RETRY) is PendingOperation.RETRY
    assert pending_operation(T.FINALIZED, G.RETRY_ALL) is PendingOperation.RETRY_ALL


def test_killing_an_ended_task_changes_nothing() -> None:
    for state in ENDED_TASK_STATES | {T.KILL}:
        assert task_transition(state, G.KILL) == TaskTransition(state, again=True)


def test_every_state_can_be_reached_and_left() -> None:
    assert {after for _, after in task_transitions()} == set(TaskState)
    assert {before for before, _ in task_transitions()} == set(TaskState)
    assert {after for _, after in job_transitions()} == set(JobState)
    assert {before for before, _ in job_transitions()} == set(JobState)
