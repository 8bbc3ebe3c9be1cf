"""How many jobs of a task may run at a time: which changes keep the limit exactly."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestra.domain.lifecycle import TaskFacts, TestFacts, refill
from orchestra.domain.models.tasks import Counts
from orchestra.domain.running_limit import Places
from orchestra.domain.states import PendingOperation, TaskState

RUNNING = TaskFacts(
    TaskState.RUNNING,
    held=False,
    test_jobs=10,
    jobs=100,
    counts=Counts(registered=90),
    max_running=3,
)


@pytest.mark.parametrize(
    ("taken", "unclaimed", "releasable", "change"),
    [
        (0, 0, 10, 3),
        (2, 0, 10, 1),
        (0, 0, 2, 2),
        (3, 1, 10, 0),
        (5, 1, 10, -1),  # four are alive
        (5, 4, 10, -2),
        (5, 0, 10, 0),
    ],
)
def test_places_are_filled_to_the_limit_and_never_beyond(
    taken: int, unclaimed: int, releasable: int, change: int
) -> None:
    assert Places(3, taken, unclaimed).change(releasable) == change


def test_a_report_gives_no_more_places_than_its_jobs_have_left() -> None:
    assert Places(3, taken=0).successors(left=2) == 2
    assert Places(3, taken=2).successors(left=1) == 1


def test_beyond_a_lowered_limit_jobs_leave_without_successors() -> None:
    assert Places(3, taken=4).successors(left=2) == 0
    assert Places(3, taken=2).successors(left=2) == 1


def test_reports_beside_each_other_keep_the_limit_without_seeing_each_other() -> None:
    # Each of two reports sees the other's two jobs as taken.
    for limit in range(1, 7):
        before = 6
        released = [Places(limit, before - 2).successors(left=2) for _ in range(2)]
        assert before - 4 + sum(released) <= max(limit, before - 4)


def test_a_job_that_waits_before_a_retry_takes_no_place() -> None:
    facts = replace(RUNNING, counts=Counts(registered=90, assigned=4, running=1), delayed=3)
    assert refill(facts) == 1
    over = replace(facts, counts=Counts(registered=0, assigned=4, running=1))
    assert refill(over) == 0
    assert refill(replace(over, due=1)) == 1


def test_a_task_that_is_held_or_moved_releases_nothing_and_still_withdraws() -> None:
    for stopped in (
        replace(RUNNING, held=True),
        replace(RUNNING, pending_operation=PendingOperation.RETRY),
        replace(RUNNING, state=TaskState.KILL),
        replace(RUNNING, state=TaskState.REGISTERED),
    ):
        assert refill(stopped) == 0
        assert refill(replace(stopped, counts=Counts(assigned=2, running=3))) == -2


def test_in_the_test_only_its_jobs_are_released_until_one_fails() -> None:
    testing = replace(RUNNING, state=TaskState.TESTING, counts=Counts(registered=98, testing=2))
    assert refill(replace(testing, test=TestFacts(jobs=2, living=2))) == 0
    assert refill(replace(testing, test=TestFacts(jobs=10, living=2, unreleased=8))) == 1
    assert refill(replace(testing, test=TestFacts(jobs=10, failed=1, unreleased=8))) == 0


def test_without_a_limit_a_task_is_filled_as_before() -> None:
    assert refill(replace(RUNNING, max_running=None)) == 90
