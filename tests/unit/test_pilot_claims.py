"""What room is asked for, of all that jobs need, and when a queue is asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, Claim
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue
from orchestra.pilot.claim_policy import Asked, ClaimPolicy, excess, to_claim
from orchestra.pilot.prefetch import Pace
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState

GB = 10**9
ONE, GPU = Request(cpus=1), Request(gpus=1)
BIG = Request(cpus=1, memory_bytes=6 * GB)


def attempt(
    index: int, request: Request, phase: Phase = Phase.WAITING, given: str | None = None
) -> LocalAttempt:
    queue = Queue.GPU if request.gpus or request.gpu_milli else Queue.CPU
    note = Note(queue, request, "/v/t", 1, None, None, None, 30.0, given)
    return LocalAttempt(AttemptKey(0, index, 1, uuid4()), UUID(int=1), note, phase)


def state(*attempts: LocalAttempt, cpu: int = 4, gpu: int = 0, **found: Any) -> PilotState:
    made = PilotState({Queue.CPU: cpu, Queue.GPU: gpu}, FoundResources(**found))
    for each in attempts:
        made.add(each)
    return made


def asked(found: PilotState, policy: ClaimPolicy, now: float = 0.0) -> Asked:
    claim = to_claim(found, policy, now)
    assert claim
    return claim


def quick(request: Request, in_a_row: int = 1000) -> ClaimPolicy:
    queue = Queue.GPU if request.gpus or request.gpu_milli else Queue.CPU
    return ClaimPolicy(paces={0: Pace(0.1, in_a_row)}, latest={queue: (0, request)})


def test_what_runs_and_what_waits_is_taken_off_the_room() -> None:
    busy = attempt(0, Request(cpus=1, memory_bytes=GB), Phase.RUNNING)
    waiting = attempt(1, Request(cpus=2, memory_bytes=2 * GB, scratch_bytes=GB))
    found = state(busy, waiting, cpu=4, memory_bytes=10 * GB, scratch_bytes=5 * GB)
    room = asked(found, ClaimPolicy()).room
    assert room == Room(1, (), 7 * GB, 4 * GB, is_idle=False)


def test_gpu_jobs_that_wait_have_their_devices() -> None:
    boards = (Device("GPU-a", memory_bytes=40 * GB), Device("GPU-b", memory_bytes=40 * GB))
    half = Request(gpu_milli=500, vram_bytes=10 * GB)
    found = state(attempt(0, half), attempt(1, GPU), cpu=1, gpu=2, devices=boards)
    claim = asked(found, ClaimPolicy())
    assert claim.queues == (Queue.CPU, Queue.GPU)
    assert claim.room.devices == (DeviceRoom(500, 30 * GB), DeviceRoom(0, 0))
    found.add(attempt(2, GPU))  # waits for others to end
    assert asked(found, ClaimPolicy()).queues == (Queue.CPU,)


def test_a_room_is_never_less_than_nothing() -> None:
    """A job that takes no CPU slot is not refused because too many are in use."""
    found = state(attempt(0, Request(cpus=4, memory_bytes=9 * GB), Phase.RUNNING), cpu=2, gpu=1)
    found.memory_bytes = GB
    assert asked(found, ClaimPolicy()) == Asked(
        (Queue.GPU,), Room(0, (DeviceRoom(),), 0, None, is_idle=False)
    )


def test_an_exclusive_job_that_waits_gets_the_node() -> None:
    assert to_claim(state(attempt(0, replace(ONE, exclusive=True)), gpu=1), ClaimPolicy()) is None


def test_a_job_that_needs_memory_is_asked_for_when_that_is_free_and_not_before() -> None:
    busy = [attempt(n, Request(cpus=1, memory_bytes=4 * GB), Phase.RUNNING) for n in (0, 1)]
    found, policy = state(*busy, cpu=4, memory_bytes=10 * GB), ClaimPolicy()
    passed_over = Claim(held_back={Queue.CPU: (Resources(1, memory_bytes=6 * GB),)})
    policy.record_claim(asked(found, policy), [], passed_over)
    assert policy.blocked == {Queue.CPU: (BIG,)}
    assert to_claim(found, policy) is None
    found.add(attempt(2, ONE, Phase.RUNNING))
    assert to_claim(found, policy) is None
    found.drop(busy[0].key)
    assert asked(found, policy).room.memory_bytes == 6 * GB


def test_a_job_that_would_fit_and_is_kept_from_the_node_is_not_asked_for_in_a_loop() -> None:
    found, policy = state(cpu=4), ClaimPolicy()
    policy.record_claim(asked(found, policy), [], Claim(held_back={Queue.CPU: (Resources(2),)}))
    assert (policy.blocked, policy.exhausted) == ({}, {Queue.CPU})
    assert to_claim(found, policy) is None


@pytest.mark.parametrize("request_", [ONE, BIG, GPU, Request(gpu_milli=500), replace(GPU, cpus=1)])
def test_room_for_jobs_that_follow_quick_ones_has_all_that_they_need(request_: Request) -> None:
    on_gpu = bool(request_.gpus or request_.gpu_milli)
    found = state(cpu=2, gpu=1 if on_gpu else 0, memory_bytes=12 * GB)
    policy = quick(request_)
    policy.exhausted = {Queue.CPU} if on_gpu else set()
    claim = asked(found, policy)
    together = found_room(found).count(request_)
    assert claim.room.count(request_) == together * 10
    assert claim.room.memory_bytes == max(12 * GB, together * 10 * request_.memory_bytes)


def found_room(found: PilotState) -> Room:
    return asked(found, ClaimPolicy()).room


def test_room_for_jobs_that_start_later_is_not_shared_by_the_queues() -> None:
    """A GPU job that takes CPU slots would be claimed for it, not start, and be released, again and again."""
    found, policy = state(attempt(0, ONE, Phase.RUNNING), cpu=2, gpu=1), quick(ONE)
    both = asked(found, policy)
    assert (both.queues, both.room.cpus) == ((Queue.CPU, Queue.GPU), 1)
    policy.record_claim(both, [attempt(1, ONE)], Claim())
    assert policy.exhausted == {Queue.GPU}
    found.add(attempt(1, ONE))
    later = asked(found, policy)
    assert (later.queues, later.room.cpus) == ((Queue.CPU,), 19)


def test_prefetched_jobs_are_kept_while_they_start_soon_whatever_they_need() -> None:
    busy = attempt(0, BIG, Phase.RUNNING)
    busy.started_at = 1000.0
    waiting = [attempt(n, BIG) for n in range(1, 31)]
    found = state(busy, *waiting, cpu=4, memory_bytes=10 * GB)
    policy = ClaimPolicy(paces={0: Pace(0.125, 1000)})
    assert excess(found, policy, 1000.1) == waiting[16:], "one at a time, for two seconds"
    assert excess(found, policy, 1001.1) == waiting, "the memory is in use for long"


def test_the_room_that_is_asked_for_when_jobs_of_different_needs_were_granted() -> None:
    policy = ClaimPolicy()
    sent = Asked((Queue.CPU,), Room(cpus=4, memory_bytes=10 * GB))
    held_back = {Queue.CPU: (Resources(1, memory_bytes=6 * GB), Resources(3))}
    policy.record_claim(sent, [attempt(0, BIG), attempt(1, ONE)], Claim(held_back=held_back))
    assert set(policy.blocked[Queue.CPU]) == {BIG, Request(cpus=3)}
    assert policy.latest[Queue.CPU] == (0, ONE)
