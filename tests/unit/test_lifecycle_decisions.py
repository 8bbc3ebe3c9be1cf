"""What the conductor decides, the order of tasks, and what an outcome does to its job."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from orchestra.domain.leases import KeeperSilence, is_dead
from orchestra.domain.lifecycle import (
    ASSIGNED_AT_MOST,
    TaskFacts,
    TestFacts,
    decide,
    is_idle,
    refill,
)
from orchestra.domain.models.tasks import Counts, Limit
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.retry_policy import (
    POISONOUS_LOSSES,
    JobFacts,
    OutcomeDecision,
    decide_outcome,
    retry_delay,
)
from orchestra.domain.states import Cause, JobState, PendingOperation, TaskState
from orchestra.domain.transitions import (
    JobInput,
    Refusal,
    TaskInput,
    next_job_state,
    task_transition,
)

NEW = TaskFacts(
    TaskState.REGISTERED, held=False, test_jobs=10, jobs=36, counts=Counts(registered=36)
)
TESTING = replace(NEW, state=TaskState.TESTING)
RUNNING = replace(NEW, state=TaskState.RUNNING)
KEY = AttemptKey(0, 1, 2, UUID(int=3))


def test_a_new_task_is_tested_unless_it_is_held_or_bypasses() -> None:
    assert decide(NEW) is TaskInput.BEGIN_TEST
    assert decide(replace(NEW, held=True)) is None
    assert decide(replace(NEW, test_jobs=0)) is TaskInput.BEGIN


@pytest.mark.parametrize("state", TaskState)
def test_a_mass_move_is_finished_first(state: TaskState) -> None:
    assert decide(replace(NEW, state=state, pending_operation=PendingOperation.RETRY)) is None


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        (TestFacts(jobs=10, waiting=4, living=6, unasked=6), None),
        (TestFacts(jobs=10, done=9, living=1, unasked=1), None),
        (TestFacts(jobs=10, done=10), TaskInput.TEST_PASSED),
        (TestFacts(jobs=10, done=8, living=2, unasked=2, matured=2), TaskInput.TEST_PASSED),
        (TestFacts(jobs=10, waiting=8, living=2, unasked=2, matured=2), None),
        (
            TestFacts(jobs=10, waiting=8, living=2, unasked=2, matured=2, quiet=True),
            TaskInput.TEST_PASSED,
        ),
        (
            TestFacts(jobs=10, done=3, waiting=6, living=1, unasked=1, matured=1, quiet=True),
            TaskInput.TEST_PASSED,
        ),
        (TestFacts(jobs=10, waiting=8, living=2, unasked=2, quiet=True), None),
        (TestFacts(jobs=10, done=5, waiting=5, quiet=True), None),
        (TestFacts(jobs=10, waiting=8, living=2, unasked=1, matured=1, quiet=True), None),
        (
            TestFacts(jobs=10, failed=1, waiting=7, living=2, unasked=2, matured=2, quiet=True),
            TaskInput.TEST_FAILED,
        ),
        (TestFacts(jobs=10, failed=1, waiting=4, living=5, unasked=5), TaskInput.TEST_FAILED),
        (TestFacts(jobs=10, failed=1, living=5, unasked=0), None),
        (TestFacts(jobs=10, failed=1, done=9), TaskInput.TEST_OVER),
        (TestFacts(jobs=10, failed=1, waiting=9), TaskInput.TEST_OVER),
    ],
)
def test_the_gate(test: TestFacts, expected: TaskInput | None) -> None:
    assert decide(replace(TESTING, test=test)) is expected


def test_a_held_task_does_not_pass_its_test_because_nothing_starts() -> None:
    stuck = TestFacts(jobs=10, waiting=8, living=2, unasked=2, matured=2, quiet=True)
    assert decide(replace(TESTING, test=stuck, held=True)) is None
    all_well = TestFacts(jobs=2, living=2, unasked=2, matured=2)
    assert decide(replace(TESTING, test=all_well, held=True)) is TaskInput.TEST_PASSED


def test_a_running_task_ends_when_every_job_has() -> None:
    assert decide(replace(RUNNING, counts=Counts(done=36))) is TaskInput.ALL_DONE
    assert decide(replace(RUNNING, counts=Counts(done=34, failed=2))) is TaskInput.ALL_ENDED
    assert (
        decide(replace(RUNNING, counts=Counts(done=34, killed=1, broken=1))) is TaskInput.ALL_ENDED
    )
    assert decide(replace(RUNNING, counts=Counts(done=35, running=1))) is None
    assert decide(replace(RUNNING, held=True, counts=Counts(done=36))) is TaskInput.ALL_DONE


def test_too_many_failures_hold_a_task_once() -> None:
    facts = replace(RUNNING, counts=Counts(failed=4, running=32), max_fails=Limit(count=4))
    assert decide(facts) is TaskInput.FAILS_REACHED
    assert decide(replace(facts, held=True)) is None
    assert decide(replace(facts, forgiven=4)) is None
    assert decide(replace(facts, max_fails=Limit(percent=10))) is TaskInput.FAILS_REACHED
    assert decide(replace(facts, max_fails=Limit(percent=12))) is None


def test_a_killed_task_waits_for_its_last_process() -> None:
    killing = replace(NEW, state=TaskState.KILL)
    assert decide(replace(killing, counts=Counts(kill=1, killed=35))) is None
    assert decide(replace(killing, counts=Counts(killed=36))) is TaskInput.ALL_DEAD


@pytest.mark.parametrize("state", TaskState)
def test_whatever_is_decided_the_table_allows(state: TaskState) -> None:
    for counts in (
        Counts(done=36),
        Counts(failed=36),
        Counts(running=1, failed=35),
        Counts(killed=36),
    ):
        for test in (
            TestFacts(),
            TestFacts(1, failed=1),
            TestFacts(1, failed=1, living=1, unasked=1),
        ):
            facts = replace(NEW, state=state, counts=counts, test=test, max_fails=Limit(count=1))
            given = decide(facts)
            assert given is None or not isinstance(task_transition(state, given), Refusal)


def test_a_refill_keeps_a_bounded_number_released() -> None:
    many = replace(RUNNING, jobs=10**6, counts=Counts(registered=10**6))
    assert refill(many) == ASSIGNED_AT_MOST
    assert refill(replace(many, counts=Counts(registered=9, assigned=100))) == 9
    assert refill(replace(many, counts=Counts(registered=10**6, assigned=ASSIGNED_AT_MOST))) == 0
    assert refill(replace(many, held=True)) == 0
    assert refill(replace(many, state=TaskState.TESTING)) == 0


@pytest.mark.parametrize("state", TaskState)
def test_nothing_is_decided_about_an_idle_task(state: TaskState) -> None:
    """While it is held, or waits, and nothing of it is under way."""
    counts, test = Counts(registered=30, assigned=6), TestFacts(jobs=6, waiting=6)
    held = replace(NEW, state=state, held=True, counts=counts, test=test)
    may = state in (TaskState.REGISTERED, TaskState.TESTING, TaskState.RUNNING)
    assert is_idle(held) is may
    assert decide(held) is None
    assert refill(held) == 0
    assert is_idle(replace(held, held=False, waits=True)) is (state is TaskState.REGISTERED)
    for living in ("testing", "running", "kill"):
        assert not is_idle(replace(held, counts=Counts(registered=35, **{living: 1})))
    for operation in PendingOperation:
        assert not is_idle(replace(held, pending_operation=operation))
    assert not is_idle(replace(held, held=False))


JOB = JobFacts(
    state=JobState.RUNNING,
    task_state=TaskState.RUNNING,
    is_test=False,
    kill_requested=False,
    failures=0,
    losses=0,
    retries=2,
)
FAILED = Outcome(KEY, Cause.EXIT, exit_status=3)


def test_a_success_counts_whatever_was_asked_for() -> None:
    done = Outcome(KEY, Cause.EXIT, exit_status=0)
    for job in (JOB, replace(JOB, kill_requested=True), replace(JOB, task_state=TaskState.KILL)):
        assert decide_outcome(done, job).given is JobInput.SUCCEED


def test_failures_use_up_retries_but_not_in_the_test() -> None:
    assert decide_outcome(FAILED, JOB).given is JobInput.FAIL
    assert decide_outcome(FAILED, replace(JOB, failures=2)).given is JobInput.FAIL_FOR_GOOD
    assert decide_outcome(FAILED, replace(JOB, is_test=True)).given is JobInput.FAIL_FOR_GOOD


def test_losses_cost_no_retry_until_they_are_a_pattern() -> None:
    lost = Outcome(KEY, Cause.LOST)
    decision = decide_outcome(lost, replace(JOB, failures=2))
    assert (decision.given, decision.failed, decision.lost) == (JobInput.LOSE, False, True)
    assert decide_outcome(lost, replace(JOB, losses=POISONOUS_LOSSES - 1)).given is JobInput.POISON


@pytest.mark.parametrize("cause", [c for c in Cause if c is not Cause.EXIT])
def test_what_was_to_be_killed_is_killed_however_it_ended(cause: Cause) -> None:
    assert (
        decide_outcome(Outcome(KEY, cause), replace(JOB, kill_requested=True)).given
        is JobInput.KILL
    )
    assert (
        decide_outcome(Outcome(KEY, cause), replace(JOB, task_state=TaskState.KILL)).given
        is JobInput.KILL
    )


@pytest.mark.parametrize("cause", [Cause.INPUT, Cause.VOLUME])
def test_a_changed_input_holds_the_task_and_costs_nothing(cause: Cause) -> None:
    decision = decide_outcome(Outcome(KEY, cause, reason="data.npz has changed"), JOB)
    assert decision.given is JobInput.REQUEUE
    assert decision.hold == "data.npz has changed"
    assert not decision.failed


@pytest.mark.parametrize("cause", Cause)
def test_every_verdict_on_a_running_or_claimed_job_is_a_step(cause: Cause) -> None:
    outcome = Outcome(KEY, cause, exit_status=1 if cause is Cause.EXIT else None)
    state = JobState.RUNNING if outcome.started else JobState.ASSIGNED
    for job in (JOB, replace(JOB, kill_requested=True), replace(JOB, is_test=True)):
        given = decide_outcome(outcome, job).given
        assert given is not None
        assert not isinstance(next_job_state(state, given), Refusal)


@pytest.mark.parametrize("cause", [Cause.LEASE, Cause.CLOSED, Cause.UNHEARD])
def test_causes_beyond_the_job_do_not_make_it_poisonous(cause: Cause) -> None:
    decision = decide_outcome(Outcome(KEY, cause), replace(JOB, losses=POISONOUS_LOSSES - 1))
    assert decision == OutcomeDecision(JobInput.LOSE)


def test_a_container_that_does_not_begin_breaks_a_test_and_costs_a_job_nothing() -> None:
    outcome = Outcome(KEY, Cause.NO_CONTAINER)
    assert decide_outcome(outcome, replace(JOB, retries=3)) == OutcomeDecision(JobInput.LOSE)
    testing = replace(JOB, is_test=True, task_state=TaskState.TESTING, retries=3)
    assert decide_outcome(outcome, testing) == OutcomeDecision(JobInput.FAIL_FOR_GOOD, failed=True)
    assert decide_outcome(outcome, replace(testing, kill_requested=True)) == OutcomeDecision(
        JobInput.KILL
    )


@pytest.mark.parametrize("cause", Cause)
def test_a_job_that_was_given_up_is_changed_by_its_own_doing_alone(cause: Cause) -> None:
    outcome = Outcome(KEY, cause, exit_status=0 if cause is Cause.EXIT else None)
    given = decide_outcome(outcome, replace(JOB, given_up=True)).given
    own = {
        Cause.EXIT: JobInput.SUCCEED,
        **dict.fromkeys(
            (
                Cause.SIGNAL,
                Cause.OUT_OF_MEMORY,
                Cause.GPU_OUT_OF_MEMORY,
                Cause.TIMEOUT,
                Cause.NO_START,
                Cause.NOT_COMPLETE,
            ),
            JobInput.FAIL,
        ),
    }
    assert given == own.get(cause)


def test_retries_wait_longer_each_time_up_to_a_limit() -> None:
    assert [retry_delay(n, 1.0) for n in (1, 2, 3, 4)] == [2.0, 4.0, 8.0, 16.0]
    assert [retry_delay(n, 0.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]
    assert retry_delay(9, 1.0) == retry_delay(100_000, 1.0) == 300.0


def test_a_keeper_is_dead_when_lease_grace_and_margin_are_over_without_a_gap() -> None:
    silence = KeeperSilence(lease=100.0, grace=30.0, silent_for=250.0, held_for=1000.0)
    assert is_dead(silence)
    assert not is_dead(replace(silence, silent_for=249.9))
    assert not is_dead(replace(silence, held_for=249.9))
    assert not is_dead(replace(silence, silent_for=-3600.0))
    assert is_dead(replace(silence, silent_for=131.0), margin=1.0)
