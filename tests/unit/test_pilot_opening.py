"""A pilot keeps to its node's hours, by the clock of its machine."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf

import pytest

from orchestra.domain.models.pilots import Window
from orchestra.pilot import opening
from orchestra.pilot.opening import LOOK_AGAIN, LOOK_EVERY, Opening, OpeningWatch

EVENING = datetime(2026, 11, 26, 20, 0, tzinfo=UTC)  # 21:00 in the zone of these tests
NIGHTS = "19:00-07:00"


@pytest.fixture(autouse=True)
def _zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "XXX-1"  # an hour ahead of UTC
    time.tzset()
    yield
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


class Machine:
    """A machine whose clocks stand still until they are moved, and what its watch did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: datetime = EVENING) -> None:
        self.at, self.opening = at, Opening()
        self.done: list[str] = []
        self.boottime = 400.0
        monkeypatch.setattr(opening, "now_utc", lambda: self.at)
        monkeypatch.setattr(opening, "monotonic", lambda: 0.0)
        self.watch = OpeningWatch(
            self.opening,
            end_all=self.done.append,
            opened=lambda: self.done.append("opened"),
            tell=lambda: self.done.append("told"),
            boottime=lambda: self.boottime,
        )

    def tick(self, at: datetime | None = None) -> float:
        """Look at the clock as soon as it is due; return in how many seconds it is due again."""
        self.at = at or self.at
        return self.watch.tick(inf)


def _at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-{text}:00+01:00")


def test_a_node_without_hours_never_looks_at_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.opening.learn(None)
    assert machine.tick() == inf
    assert machine.watch.tick(0.0) == inf
    assert machine.opening.window == Window(utc_offset=3600)
    assert machine.opening.seconds_left(0.0) == inf


def test_it_ends_what_runs_when_it_closes_and_claims_when_it_opens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch)
    machine.opening.learn(NIGHTS)
    assert machine.tick() == LOOK_EVERY
    assert machine.done == ["told"]
    assert machine.opening.window == Window(None, _at("27 07:00"), 3600)
    assert machine.opening.seconds_left(0.0) == 10 * 3600

    assert machine.tick(_at("27 07:00") - timedelta(seconds=5)) == pytest.approx(5, abs=0.01)
    assert machine.done == ["told"]
    assert machine.tick(_at("27 07:00")) == LOOK_AGAIN
    assert machine.done == ["told", "the node closed at 07:00", "told"]
    assert machine.opening.seconds_left(0.0) == 0
    assert machine.opening.window == Window(_at("27 19:00"), _at("28 07:00"), 3600)

    machine.done.clear()
    machine.tick(_at("27 12:00"))
    assert machine.done == ["the node closed at 07:00"], "of a claim that was under way"
    machine.tick(_at("27 19:00"))
    assert machine.done == ["the node closed at 07:00", "opened", "told"]
    assert machine.opening.seconds_left(0.0) == 12 * 3600


def test_a_new_agent_says_when_the_node_closed_and_new_hours_close_it_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = Machine(monkeypatch, _at("27 12:34"))
    machine.opening.learn(NIGHTS)
    assert machine.opening.reason == "the node closed at 07:00"
    machine.opening.learn(None)
    assert not machine.opening.is_closed
    machine.tick()
    machine.opening.learn(NIGHTS)
    assert machine.opening.reason == "the node closed at 12:34"
    machine.tick()
    assert machine.done == ["told", "the node closed at 12:34", "told"]
    machine.opening.learn(NIGHTS)
    machine.watch.tick(0.0)
    assert machine.done == ["told", "the node closed at 12:34", "told"]


def test_a_clock_that_is_set_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.opening.learn(NIGHTS)
    machine.tick()
    machine.tick(_at("26 12:00"))
    assert "the node closed at 07:00" in machine.done
    machine.tick(_at("26 22:00"))
    assert machine.done[-2:] == ["opened", "told"]


def test_a_planned_drain_limits_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    machine.opening.learn(None, 1000.0)
    assert machine.opening.seconds_left(400.0) == 600
    assert machine.opening.seconds_left(1001.0) == 0
    assert machine.watch.tick(5.0) == 605.0
    for machine.boottime in (1000.0, 1010.0):
        assert machine.watch.tick(605.0) == inf
        machine.opening.learn(None, 1000.1)
    assert machine.done == ["told", "told"], "of the hours, and once of the drain"
    machine.opening.learn(NIGHTS, 1e9)
    assert machine.opening.seconds_left(400.0) == 10 * 3600
    machine.opening.learn(NIGHTS)
    assert machine.opening.seconds_left(400.0) == 10 * 3600


def test_hours_of_a_later_version_close_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(monkeypatch)
    machine.opening.learn("full moon")
    assert not machine.opening.is_closed
    assert "cannot be read" in caplog.text
