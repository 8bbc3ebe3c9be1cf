"""I/O threads: a lane whose work hangs delays no other lane."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestra.pilot import workers
from orchestra.pilot.inbox import Inbox
from orchestra.pilot.workers import Workers
from support.waiting import wait_until


class FakeAgent:
    def __init__(self) -> None:
        self.inbox = Inbox()
        self.workers = Workers(self.inbox)
        self.results: list[Any] = []

    def submit(self, work: Callable[[], Any], lane: int) -> None:
        self.workers.submit(work, self.results.append, self.results.append, lane=lane)

    def has(self, count: int) -> None:
        def is_done() -> bool:
            self.inbox.run_calls()
            return len(self.results) >= count

        wait_until(is_done, describe=lambda: self.results)


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    found = FakeAgent()
    yield found
    found.inbox.wakeup.close()


def threads() -> int:
    return sum(thread.name == "pilot-io" for thread in threading.enumerate())


def test_a_lane_that_hangs_uses_up_only_its_own_threads(agent: FakeAgent) -> None:
    gate = threading.Event()
    before = threads()
    for number in range(200):
        agent.submit(lambda number=number: gate.wait(30) and number, 1)  # type: ignore[misc]
    wait_until(lambda: threads() == before + workers.LANE_THREADS)
    for number in range(50):
        agent.submit(lambda number=number: -number, 2)  # type: ignore[misc]
    agent.has(50)
    assert sorted(agent.results) == list(range(-49, 1))
    assert threads() <= before + 2 * workers.LANE_THREADS
    gate.set()
    agent.has(250)
    assert sum(result for result in agent.results if result > 0) == sum(range(200))


def test_a_failure_is_passed_on(agent: FakeAgent) -> None:
    agent.submit(lambda: 1 / 0, 1)
    agent.has(1)
    assert isinstance(agent.results[0], ZeroDivisionError)
