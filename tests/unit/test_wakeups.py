"""Pilots are woken for all work, once it is visible and not more often than every 50 ms."""

from __future__ import annotations

import pytest

from orchestra.conductor.wakeups import INTERVAL, Wakeups
from orchestra.domain.states import Queue


class Clock:
    """A clock that advances only in `sleep`."""

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


def test_wake_up_is_sent_with_the_transaction(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.GPU)
    assert woken == [Queue.GPU]
    wakeups.committed()
    wakeups.flush(clock.sleep)
    assert woken == [Queue.GPU]


def test_later_work_is_woken_for_as_well(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    """A pilot may have claimed all jobs of the first one, and have found the queue empty."""
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


def test_work_released_after_a_wake_up_is_due(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.CPU)
    wakeups.committed()
    wakeups.add(Queue.CPU, Queue.GPU)
    wakeups.flush(clock.sleep)
    assert sorted(woken) == [Queue.CPU, Queue.CPU, Queue.GPU]


def test_rolled_back_wake_up_is_due(wakeups: Wakeups, woken: list[Queue], clock: Clock) -> None:
    wakeups.begin()
    wakeups.wake_on_commit(Queue.CPU)  # and the transaction fails
    wakeups.begin()
    wakeups.committed()  # another one, of another task
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2


def test_wake_up_of_a_retried_transaction_is_due(
    wakeups: Wakeups, woken: list[Queue], clock: Clock
) -> None:
    for _ in range(2):
        wakeups.begin()
        wakeups.wake_on_commit(Queue.CPU)
    wakeups.committed()
    assert wakeups.due == {Queue.CPU}
    wakeups.flush(clock.sleep)
    assert woken == [Queue.CPU] * 2


def test_wake_up_is_for_one_queue_only(wakeups: Wakeups, woken: list[Queue], clock: Clock) -> None:
    for queue in (Queue.CPU, Queue.GPU):
        wakeups.begin()
        wakeups.wake_on_commit(queue)
        wakeups.committed()
    assert woken == [Queue.CPU, Queue.GPU]
    assert not wakeups.due
