"""A pilot in an allocation: when it ends its jobs, which of them are not at fault, and when it leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.models.pools import AllocationHello
from orchestra.domain.models.work import AttemptKey, Outcome
from orchestra.domain.pools import ending
from orchestra.domain.resources import Request
from orchestra.domain.states import Cause, Queue
from orchestra.pilot import report
from orchestra.pilot.allocation_watch import AllocationWatch
from orchestra.pilot.context import boottime
from orchestra.pilot.lent import Lent, LentState
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState

HELLO = AllocationHello(uuid4(), "17", 0, "n1")
NOTE = Note(Queue.CPU, Request(cpus=1), "/v/t", 1, None, None, 600.0, grace=20.0)


def lent_state(left: float | None = None, **lent: Any) -> LentState:
    """An allocation that ends in some seconds, of which the pilot was told an hour before."""
    state = LentState(Lent(HELLO, **lent), idle=60.0)
    if left is not None:
        state.ends_at, state.is_read = datetime.now(UTC) + timedelta(seconds=left), True
    return state


class FakeAgent:
    """What an agent has, and what its duties have asked of it."""

    def __init__(self, lent: LentState) -> None:
        self.said: list[Any] = []
        self.asked: list[tuple[Any, Any, Any]] = []
        self.sent: list[Outcome] = []
        context: Any = SimpleNamespace(
            lent=lent,
            node_id=1,
            state=PilotState(),
            launch=SimpleNamespace(take_back=lambda _: None),
            keepers=SimpleNamespace(handles={}),
            workers=SimpleNamespace(submit=lambda *_, **__: None),
            folder=Path("/nowhere"),
            database=SimpleNamespace(submit=self._submit),
        )
        self.context = context
        self.reporter = report.Reporter(context, lambda *_: None)
        supervisor: Any = SimpleNamespace(
            reporter=self.reporter,
            end_all=lambda reason, grace_at_most=inf: self.said.append((reason, grace_at_most)),
        )
        self.watch = AllocationWatch(context, lent, supervisor, self._drain)

    def _submit(self, call: Any, then: Any, otherwise: Any, **_: Any) -> None:
        if hasattr(call, "args"):
            self.sent += [pending.outcome for pending in call.args[1]]
        self.asked.append((call, then, otherwise))

    def _drain(self) -> None:
        self.context.state.draining = True

    def attempt(self, phase: Phase = Phase.RUNNING) -> LocalAttempt:
        made = LocalAttempt(
            AttemptKey(1, len(self.context.state.attempts), 1, uuid4()), UUID(int=1), NOTE, phase
        )
        self.context.state.add(made)
        return made

    def ends(self, outcome: Outcome, seconds_ago: float = 0.0) -> None:
        attempt = LocalAttempt(outcome.key, UUID(int=1), NOTE, Phase.RUNNING)
        self.reporter.add(attempt, outcome, boottime() - seconds_ago)
        self.reporter._reporting = False


def outcome(cause: Cause, status: int | None = None, number: int | None = None) -> Outcome:
    return Outcome(AttemptKey(1, 2, 3, uuid4()), cause, exit_status=status, signal=number)


FAILURES = [
    outcome(Cause.SIGNAL, number=15),
    outcome(Cause.EXIT, 143),
    outcome(Cause.EXIT, 7),
]
OTHERS = [
    outcome(Cause.EXIT, 0),
    outcome(Cause.OUT_OF_MEMORY, None, 9),
    outcome(Cause.TIMEOUT, None, 15),
    outcome(Cause.GPU_OUT_OF_MEMORY, 1),
]


@pytest.mark.parametrize("ended", FAILURES)
def test_what_fails_a_moment_before_its_pilot_is_told_is_not_at_fault(ended: Outcome) -> None:
    agent = FakeAgent(lent_state())
    agent.ends(ended, seconds_ago=1.0)
    agent.reporter.tick(monotonic() + report.LINGER)
    assert agent.sent == [], "it may be about to be told"
    agent.watch.stop()
    agent.reporter.tick(inf)
    [sent] = agent.sent
    assert sent.cause is Cause.CLOSED
    assert sent.reason == "ended because its allocation was ended"


@pytest.mark.parametrize("ended", FAILURES)
def test_what_fails_afterwards_is_not_either(ended: Outcome) -> None:
    agent = FakeAgent(lent_state())
    agent.watch.stop()
    agent.ends(ended)
    agent.reporter.tick(inf)
    assert [each.cause for each in agent.sent] == [Cause.CLOSED]


@pytest.mark.parametrize("ended", FAILURES)
def test_what_has_failed_before_is(ended: Outcome) -> None:
    agent = FakeAgent(lent_state())
    agent.ends(ended, seconds_ago=5.0)
    agent.watch.stop()
    agent.reporter.tick(inf)
    assert agent.sent == [ended]


@pytest.mark.parametrize("ended", OTHERS)
def test_other_ends_are_what_they_are_and_do_not_wait(ended: Outcome) -> None:
    agent = FakeAgent(lent_state())
    agent.ends(ended)
    agent.reporter.tick(monotonic() + report.LINGER)
    assert agent.sent == [ended]
    agent.watch.stop()
    again = replace(ended, key=AttemptKey(1, 9, 1, uuid4()))
    agent.ends(again)
    agent.reporter.tick(inf)
    assert agent.sent == [ended, again]


def test_a_failure_while_the_allocation_goes_on_is_reported_a_moment_later() -> None:
    agent, now = FakeAgent(lent_state()), monotonic()
    agent.ends(FAILURES[0])
    due = agent.reporter.tick(now)
    assert not agent.sent
    assert now < due <= monotonic() + report.SETTLE
    agent.reporter.tick(due)
    agent.reporter.tick(due + report.LINGER)
    assert agent.sent == [FAILURES[0]]


def test_the_successor_of_a_pilot_that_has_died_excuses_what_died_with_it() -> None:
    agent = FakeAgent(lent_state())
    agent.watch.succeed()
    agent.ends(FAILURES[0], seconds_ago=10.0)
    agent.reporter.tick(inf)
    assert [each.cause for each in agent.sent] == [Cause.CLOSED]
    assert agent.context.state.draining
    assert agent.said == [("its allocation was ended", inf)]


def test_term_of_the_engine_leaves_jobs_less_than_the_time_until_it_kills() -> None:
    agent = FakeAgent(lent_state(3600.0, kill_wait=30.0, ending=90.0))
    agent.watch.stop()
    assert agent.context.state.draining
    [(reason, grace)] = agent.said
    assert reason == "its allocation was ended"
    assert grace == 22.0
    assert agent.watch.dies_at == pytest.approx(monotonic() + 30.0, abs=1)


def test_term_near_the_end_leaves_the_time_until_then() -> None:
    agent = FakeAgent(lent_state(88.0, kill_wait=30.0, ending=90.0))
    agent.watch.stop()
    assert agent.said[0][1] == pytest.approx(80.0, abs=1)


def test_what_comes_to_light_later_is_ended_too() -> None:
    agent = FakeAgent(lent_state())
    agent.watch.succeed()
    agent.watch.tick(monotonic())
    assert len(agent.said) == 1
    agent.attempt()
    agent.watch.tick(monotonic())
    assert agent.said[1:] == agent.said[:1]


def test_outcomes_that_no_database_takes_are_given_up() -> None:
    agent, forgotten = FakeAgent(lent_state()), list[int]()
    link = SimpleNamespace(send_ack=forgotten.extend)
    agent.context.keepers.handles[UUID(int=1)] = SimpleNamespace(link=link)
    agent.ends(replace(OTHERS[0], sequence=1))
    agent.ends(replace(FAILURES[0], sequence=2))
    agent.reporter.give_up()
    assert forgotten == [1, 2]


def test_a_second_term_leaves_less() -> None:
    agent = FakeAgent(lent_state(88.0, kill_wait=5.0, ending=90.0))
    agent.watch.stop()
    agent.context.lent.ends_at += timedelta(hours=1)
    agent.watch.stop()
    assert [round(grace) for _, grace in agent.said] == [80, 2]
    assert agent.watch.dies_at == pytest.approx(monotonic() + 5.0, abs=1)


def test_jobs_are_ended_so_early_that_their_grace_and_the_reports_fit() -> None:
    lent = lent_state(60.0 + 20.0 + 5.0)
    agent, now = FakeAgent(lent), monotonic()
    agent.attempt()
    assert agent.watch.tick(now) == pytest.approx(now + 5.0, abs=1)
    assert not agent.said
    assert lent.ends_at
    lent.ends_at -= timedelta(seconds=6)
    agent.watch.tick(monotonic())
    assert agent.said == [(f"its allocation ends at {lent.ends_at.astimezone():%H:%M}", inf)]
    assert agent.context.state.draining


def test_a_longer_allocation_and_a_shorter_one() -> None:
    assert ending.margin(inf) == 60.0
    assert ending.margin(3600.0) == 60.0
    assert ending.margin(60.0) == 6.0
    assert ending.margin(-1.0) == 0.0
    lent = LentState(Lent(HELLO))
    lent.learn_end(datetime.now(UTC) + timedelta(seconds=100))
    assert lent.seconds_left == pytest.approx(90.0, abs=1)
    lent.learn_end(datetime.now(UTC) + timedelta(seconds=50))
    assert lent.seconds_left == pytest.approx(40.0, abs=1)
    lent.learn_end(None)
    assert lent.seconds_left == pytest.approx(40.0, abs=1), "it was known before"


def test_an_unknown_end_limits_nothing() -> None:
    lent = LentState(Lent(HELLO))
    assert lent.seconds_left == inf
    agent = FakeAgent(lent)
    agent.attempt()
    agent.watch.tick(monotonic())
    assert not agent.said


def test_an_idle_pilot_asks_whether_it_may_leave() -> None:
    agent, now = FakeAgent(lent_state()), monotonic()
    attempt = agent.attempt(Phase.REPORTING)
    agent.watch.tick(now + 100)
    assert not agent.asked, "it has something to report"
    agent.context.state.drop(attempt.key)
    assert agent.watch.tick(now + 159) == now + 160
    agent.watch.tick(now + 161)
    [(_, then, otherwise)] = agent.asked
    agent.watch.tick(now + 200)
    assert len(agent.asked) == 1, "it waits for the answer"
    otherwise(OSError())
    then(False)
    assert not agent.context.state.draining
    agent.watch.tick(monotonic() + 61)
    assert len(agent.asked) == 2
    agent.asked[1][1](True)
    assert agent.context.state.draining


@pytest.mark.parametrize(
    ("machine", "usable", "share", "used"),
    [
        (8, 8, 2, 2),
        (8, 8, None, 8),
        (8, 4, 6, 4),
        (8, 4, 2, 2),
        (2, 2, 4, 4),
        (4, 2, 4, 2),
        (4, None, 3, 3),
    ],
)
def test_the_engines_cpus_count_unless_the_pilot_is_kept_to_fewer(
    machine: int, usable: int | None, share: int | None, used: int
) -> None:
    found = FoundResources(cpus=usable)
    assert Lent(HELLO, cpus=share).share(found, machine).cpus == used


def test_a_pilot_uses_no_more_than_its_share() -> None:
    found = FoundResources(cpus=64, memory_bytes=2**40)
    assert Lent(HELLO, cpus=2, memory_bytes=2**30).share(found) == FoundResources(2, 2**30)
    assert Lent(HELLO).share(found) == found
    assert Lent(HELLO, memory_bytes=2**30).share(FoundResources(cpus=1)) == FoundResources(1, 2**30)


def test_the_database_is_told_only_what_it_does_not_know() -> None:
    lent = lent_state(100.0)
    assert lent.news.ends_at == lent.ends_at
    assert not lent.news.has_run
    lent.told = lent.now
    assert (lent.news.ends_at, lent.news.has_run) == (None, False)
    lent.has_run = True
    assert lent.news.has_run
