"""Which attempts are queued behind others, and which are withdrawn."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from orchestra.domain.models.work import AttemptKey
from orchestra.domain.resources import Request, total
from orchestra.domain.states import Queue
from orchestra.pilot import run_ahead
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.prefetch import QUICK_SECONDS, Pace
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState, Ready

QUICK = ClaimPolicy(paces={0: Pace(0.001, 9), 1: Pace(0.04, 9), 2: Pace(0.5, 9)})
KEEPER = UUID(int=1)


def local_attempt(
    index: int, phase: Phase = Phase.WAITING, *, task: int = 0, ready: bool = True, slots: int = 1
) -> LocalAttempt:
    note = Note(Queue.CPU, Request(cpus=slots), "/v/t", 1, None, None, None, 30.0)
    made = LocalAttempt(AttemptKey(task, index, 1, uuid4()), KEEPER, note, phase)
    if phase is Phase.WAITING and ready:
        made.ready = Ready(("true",), {}, -1, "/")
    return made


def state(*attempts: LocalAttempt, cpu: int = 2) -> PilotState:
    found = PilotState({Queue.CPU: cpu, Queue.GPU: 0})
    for attempt in attempts:
        found.add(attempt)
    return found


def pairs(
    found: PilotState, policy: ClaimPolicy = QUICK, now: float = 0.0
) -> list[tuple[int, int]]:
    return [(a.key.index, b.key.index) for a, b in run_ahead.to_queue(found, policy, now)]


def lane_of(
    count: int, started_at: float | None = None, cpu: int = 2
) -> tuple[PilotState, list[LocalAttempt]]:
    """One running attempt and others queued behind it."""
    lane = [local_attempt(0, Phase.RUNNING), *(local_attempt(n) for n in range(1, count))]
    lane[0].started_at = started_at
    for before, after in pairwise(lane):
        after.queue_behind(before)
    return state(*lane, cpu=cpu), lane


def test_very_quick_attempts_are_spread_over_the_running_ones_in_order() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in (100, 101)]
    found = state(*running, *(local_attempt(n) for n in range(4)))
    assert pairs(found) == [(0, 100), (1, 101), (2, 0), (3, 1)]


def test_a_lane_has_at_most_a_tenth_of_a_second_of_work() -> None:
    for task, longest in ((0, run_ahead.MAX_LANE), (1, 2), (2, 0)):
        running = local_attempt(100, Phase.RUNNING, task=task)
        found = state(running, *(local_attempt(n, task=task) for n in range(20)))
        assert len(pairs(found)) == longest


def test_no_more_attempts_are_queued_than_a_keeper_may_have_logs_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_ahead, "MAX_QUEUED", 5)
    running = [local_attempt(n, Phase.RUNNING) for n in (100, 101)]
    found = state(*running, *(local_attempt(n) for n in range(10)))
    assert len(pairs(found)) == 5
    for late, ahead in list(run_ahead.to_queue(found, QUICK, 0.0)):
        late.queue_behind(ahead)
    assert pairs(found) == []


def test_a_lane_is_refilled_when_half_of_it_has_run() -> None:
    found, _ = lane_of(run_ahead.MAX_LANE // 2 + 2)
    found.add(local_attempt(50))
    assert pairs(found) == []
    found, lane = lane_of(run_ahead.MAX_LANE // 2 + 1)
    found.add(local_attempt(50))
    assert pairs(found) == [(50, lane[-1].key.index)]


def test_only_prepared_attempts_of_equal_size_are_queued_in_order() -> None:
    running = local_attempt(100, Phase.RUNNING)
    assert pairs(state(running, local_attempt(0, ready=False), local_attempt(1))) == []
    assert pairs(
        state(running, local_attempt(0), local_attempt(1, ready=False), local_attempt(2))
    ) == [(0, 100)]
    assert pairs(state(running, local_attempt(0, slots=2), local_attempt(1))) == []
    assert pairs(state(running, local_attempt(0), local_attempt(1, slots=2), local_attempt(2))) == [
        (0, 100)
    ]
    assert pairs(state(running, local_attempt(0), local_attempt(1, task=2), local_attempt(2))) == [
        (0, 100)
    ]
    assert pairs(state(local_attempt(100, Phase.PREPARING), local_attempt(0))) == []
    assert pairs(state(running, local_attempt(0)), ClaimPolicy()) == []
    other = local_attempt(0)
    other.keeper = UUID(int=2)
    assert pairs(state(running, other)) == []
    draining = state(running, local_attempt(0))
    draining.draining = True
    assert pairs(draining) == []


def test_a_gpu_job_waits_for_its_devices() -> None:
    running, waiting = local_attempt(100, Phase.RUNNING), local_attempt(0)
    for attempt in (running, waiting):
        attempt.note = replace(attempt.note, queue=Queue.GPU)
    assert pairs(state(running, waiting)) == []


def test_a_follower_takes_the_place_of_an_attempt_that_leaves() -> None:
    found, (first, second, third) = lane_of(3)
    second.leave_queue()
    assert (third.predecessor, first.follower, third.phase) == (first, third, Phase.QUEUED)
    first.leave_queue()
    assert (third.predecessor, third.phase) == (None, Phase.RUNNING)
    assert (
        total(a.note.request for a in found.with_slots()).cpus == 2
    )  # the first one has not ended yet


def test_attempts_behind_a_slow_one_are_withdrawn_last_first() -> None:
    found, lane = lane_of(3, started_at=10.0)
    assert run_ahead.to_withdraw(found, 9.9 + QUICK_SECONDS) == []
    assert run_ahead.to_withdraw(found, 10.1 + QUICK_SECONDS) == [lane[2], lane[1]]
    lane[2].withdrawing = True
    assert run_ahead.to_withdraw(found, 10.1 + QUICK_SECONDS) == [lane[1]]


def test_everything_is_withdrawn_when_slots_are_disabled_or_the_pilot_drains() -> None:
    found, lane = lane_of(2, started_at=10.0, cpu=1)
    assert run_ahead.to_withdraw(found, 10.0) == []
    found.enabled[Queue.CPU] = 0
    assert run_ahead.to_withdraw(found, 10.0) == [lane[1]]
    found, lane = lane_of(2, started_at=10.0)
    found.draining = True
    assert run_ahead.to_withdraw(found, 10.0) == [lane[1]]


def test_events_gather_only_while_every_lane_is_full() -> None:
    assert not run_ahead.are_full(state())
    assert not run_ahead.are_full(lane_of(2)[0])
    found, _ = lane_of(3)
    assert run_ahead.are_full(found)
    found.add(local_attempt(9, Phase.RUNNING))
    assert not run_ahead.are_full(found)


def test_nothing_is_queued_behind_a_slow_attempt() -> None:
    slow, quick = local_attempt(100, Phase.RUNNING), local_attempt(101, Phase.RUNNING)
    slow.started_at, quick.started_at = 1000.0, 1002.0
    found = state(slow, quick, local_attempt(0), local_attempt(1))
    assert pairs(found, now=1000.5) == [(0, 100), (1, 101)]
    assert pairs(found, now=1002.1) == [(0, 101), (1, 0)]


def test_nothing_is_queued_while_more_run_than_there_are_slots() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in (100, 101)]
    assert pairs(state(*running, local_attempt(0), cpu=2))
    assert not pairs(state(*running, local_attempt(0), cpu=1))


def test_a_round_is_due_when_an_attempt_becomes_slow() -> None:
    found, lane = lane_of(2, started_at=1000.0)
    assert run_ahead.seconds_until_slow(found, 1000.25) == 0.75
    # Then the queued attempts were withdrawn already.
    assert run_ahead.seconds_until_slow(found, 1001.5) == float("inf")
    found.drop(lane[0].key)
    assert run_ahead.seconds_until_slow(found, 1000.25) == float("inf")
