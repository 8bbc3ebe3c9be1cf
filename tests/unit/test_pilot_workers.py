"""I/O threads: a lane whose work hangs holds nobody else up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestra.pilot import workers
from orchestra.pilot.inbox import Inbox
from orchestra.pilot.workers import Workers
from support.waiting import wait_until


class Office:
    def __init__(self) -> None:
        self.inbox = Inbox()
        self.workers = Workers(self.inbox)
        self.results: list[Any] = []

    def submit(self, work: Callable[[], Any], lane: int) -> None:
        self.workers.submit(work, self.results.append, self.results.append, lane=lane)

    def has(self, count: int) -> None:
        def look() -> bool:
            self.inbox.run_calls()
            return len(self.results) >= count

        wait_until(look, describe=lambda: self.results)


@pytest.fixture
def office() -> Iterator[Office]:
    found = Office()
    yield found
    found.inbox.wakeup.close()


def threads() -> int:
    return sum(thread.name == "pilot-io" for thread in threading.enumerate())


def test_a_lane_that_hangs_uses_up_its_own_threads_alone(office: Office) -> None:
    gate = threading.Event()
    before = threads()
    for number in range(200):
        office.submit(lambda number=number: gate.wait(30) and number, 1)  # type: ignore[misc]
    wait_until(lambda: threads() == before + workers.LANE_THREADS)
    for number in range(50):
        office.submit(lambda number=number: -number, 2)  # type: ignore[misc]
    office.has(50)
    assert sorted(office.results) == list(range(-49, 1))
    assert threads() <= before + 2 * workers.LANE_THREADS
    gate.set()
    office.has(250)
    assert sum(result for result in office.results if result > 0) == sum(range(200))


def test_what_fails_says_so(office: Office) -> None:
    office.submit(lambda: 1 / 0, 1)
    office.has(1)
    assert isinstance(office.results[0], ZeroDivisionError)
