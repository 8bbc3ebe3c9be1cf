"""Pilots hear of all work, after it can be seen and not more often than every 50 ms."""

from __future__ import annotations

import pytest

from orchestra.conductor.wakeups import INTERVAL, Wakeups
from orchestra.domain.states import Queue


class Clock:
    """A clock that stands still, but while somebody sleeps."""

    now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def woken() -> list[Queue]:
    return []


@pytest.fixture
def wakeups(woken: list[Queue], clock: Clock) -> Wakeups:
    return Wakeups(woken.append, clock)


def test_they_hear_of_a_beginning_with_its_transaction(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.GPU)
    assert woken == [Queue.GPU]
    wakeups.committed()
    wakeups.flush(clock.sleep)
    assert woken == [Queue.GPU]


def test_they_hear_of_what_comes_right_after_it_as_well(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    """A pilot may have claimed all that the first one gave, and have found the queue dry."""
    for _ in range(3):
        wakeups.begin()
        wakeups.wake_on_commit(Queue.CPU)
        wakeups.committed()
    assert woken == [Queue.CPU]
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2
    assert clock.now == pytest.approx(100 + INTERVAL)
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2


def test_they_hear_of_more_that_was_released_after_they_were_woken(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.CPU)
    wakeups.committed()
    wakeups.add(Queue.CPU, Queue.GPU)
    wakeups.flush(clock.sleep)
    assert sorted(woken) == [Queue.CPU, Queue.CPU, Queue.GPU]


def test_a_wake_up_that_was_rolled_back_is_due(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.CPU)  # and the transaction fails
    wakeups.begin()
    wakeups.committed()  # another one, of another task
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2


def test_a_wake_up_of_a_transaction_that_is_tried_again_is_due(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    for _ in range(2):
        wakeups.begin()
        wakeups.wake_on_commit(Queue.CPU)
    wakeups.committed()
    assert wakeups.due == {Queue.CPU}
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2


def test_a_wake_up_of_one_queue_is_none_of_the_other(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    for queue in (Queue.CPU, Queue.GPU):
        wakeups.begin()
        wakeups.wake_on_commit(queue)
        wakeups.committed()
    assert woken == [Queue.CPU, Queue.GPU]
    assert not wakeups.due
