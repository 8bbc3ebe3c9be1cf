"""What the conductor decides about a task. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from orchestra.domain.models.tasks import Counts, Limit
from orchestra.domain.running_limit import Places
from orchestra.domain.states import PendingOperation, TaskState
from orchestra.domain.transitions import TaskInput

ASSIGNED_AT_MOST = 50_000
"""At most so many jobs of a task are assigned: enough for any group of nodes, few enough to withdraw."""
REFILL_BELOW = ASSIGNED_AT_MOST // 2
CHUNK = 5_000
"""Jobs changed in one transaction: 0.04 s, so that no claim waits longer (1,000,000 at once take 10 s)."""


@dataclass(frozen=True, slots=True)
class TestFacts:
    """The state of a task's test jobs.

    `unreleased` ones of the `waiting` jobs have not been released yet. `matured` jobs have run for longer than
    `--test-for`; `unasked` ones are alive and have not been asked to end.
    `quiet`: none has started for `--test-for`, though the task was not held. `failed` includes those `killed` by users
    and those `swept`: ended because another one had failed.
    """

    __test__ = False

    jobs: int = 0
    waiting: int = 0
    unreleased: int = 0
    living: int = 0
    unasked: int = 0
    matured: int = 0
    done: int = 0
    failed: int = 0
    killed: int = 0
    swept: int = 0
    quiet: bool = False

    @property
    def why_failed(self) -> str:
        """Why the test failed: "2 of 10 test jobs failed"."""
        failed = self.failed - self.killed - self.swept
        of_all = f" of {self.jobs} test jobs"
        parts = [f"{failed}{of_all} failed"] if failed else []
        if self.killed:
            verb = "was" if self.killed == 1 else "were"
            parts.append(f"{self.killed}{'' if failed else of_all} {verb} killed")
        return ", ".join(parts) or f"{self.failed}{of_all} did not pass"

    @property
    def without_slot(self) -> int:
        """The jobs that have not started, or not run long enough, when the test passes without them."""
        return self.jobs - self.done - self.matured

    def passed(self, *, held: bool) -> bool:
        """Whether all passed, or a living one has and the rest cannot start although the task is not held."""
        if self.failed or self.unasked < self.living:
            return False
        return self.without_slot == 0 or (self.matured > 0 and self.quiet and not held)


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """The facts that a decision about a task depends on.

    `forgiven` failures do not count towards `max_fails`. `waits`: another task must be DONE first. `delayed` of the
    assigned jobs wait before a retry, of which `due` ones have waited long enough; they are only counted with
    `max_running`.
    """

    state: TaskState
    held: bool
    test_jobs: int
    jobs: int
    counts: Counts
    pending_operation: PendingOperation | None = None
    test: TestFacts = TestFacts()
    max_fails: Limit | None = None
    forgiven: int = 0
    waits: bool = False
    max_running: int | None = None
    delayed: int = 0
    due: int = 0

    @property
    def releasable(self) -> int:
        """The jobs that may be released now."""
        if self.held or self.pending_operation is not None:
            return 0
        match self.state:
            case TaskState.TESTING:
                return 0 if self.test.failed else self.test.unreleased
            case TaskState.RUNNING:
                return self.counts.registered + self.due
            case _:
                return 0

    @property
    def places(self) -> Places | None:
        """The places that `max_running` allows."""
        if self.max_running is None:
            return None
        unclaimed = self.counts.assigned - self.delayed
        return Places(self.max_running, self.counts.living + unclaimed, unclaimed)


def decide(facts: TaskFacts) -> TaskInput | None:
    """Return the next input for a task, or None if there is nothing to do.

    A pending operation is always finished first, so that the counts are final.
    """
    if facts.pending_operation is not None:
        return None
    match facts.state:
        case TaskState.REGISTERED:
            return _begin(facts)
        case TaskState.TESTING:
            return _test(facts.test, held=facts.held)
        case TaskState.RUNNING:
            return _work(facts)
        case TaskState.KILL:
            return TaskInput.ALL_DEAD if facts.counts.ended == facts.jobs else None
        case TaskState.DONE | TaskState.FINALIZED | TaskState.BROKEN | TaskState.KILLED:
            return None
        case _:
            assert_never(facts.state)


def _begin(facts: TaskFacts) -> TaskInput | None:
    if facts.held or facts.waits:
        return None
    return TaskInput.BEGIN_TEST if facts.test_jobs > 0 else TaskInput.BEGIN


def _test(test: TestFacts, *, held: bool) -> TaskInput | None:
    if test.failed:
        if test.living == 0:
            return TaskInput.TEST_OVER
        released = test.waiting - test.unreleased
        return TaskInput.TEST_FAILED if released or test.unasked else None
    return TaskInput.TEST_PASSED if test.passed(held=held) else None


def _work(facts: TaskFacts) -> TaskInput | None:
    counts = facts.counts
    if counts.done == facts.jobs:
        return TaskInput.ALL_DONE
    if counts.ended == facts.jobs:
        return TaskInput.ALL_ENDED
    new_failures = counts.failed - facts.forgiven
    if facts.max_fails and not facts.held and facts.max_fails.reached(new_failures, facts.jobs):
        return TaskInput.FAILS_REACHED
    return None


def is_idle(facts: TaskFacts) -> bool:
    """Whether only a command or the end of another task can change this task."""
    if facts.pending_operation is not None or facts.counts.living:
        return False
    if facts.state is TaskState.REGISTERED:
        return facts.held or facts.waits
    return facts.held and facts.state in (TaskState.TESTING, TaskState.RUNNING)


def refill(facts: TaskFacts) -> int:
    """Return how many more jobs of a task to release now; below zero, how many to withdraw.

    Without `max_running` all test jobs are released at once, so there are more only in RUNNING.
    """
    if facts.places is not None:
        return facts.places.change(facts.releasable)
    if facts.state is not TaskState.RUNNING or facts.counts.assigned >= REFILL_BELOW:
        return 0
    return min(facts.releasable, ASSIGNED_AT_MOST - facts.counts.assigned)
