"""What starts on a node: CPU slots, GPUs and parts of them, memory, scratch, and jobs that are alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.resource_text import too_much
from orchestra.domain.resources import Request, Room
from orchestra.domain.states import Queue
from orchestra.pilot import run_ahead
from orchestra.pilot.allocator import devices, free, is_overfull, offered, startable, unfit
from orchestra.pilot.claim_policy import ClaimPolicy
from orchestra.pilot.prefetch import Pace
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState, Ready

GB = 10**9
KEEPER = UUID(int=1)
A, B, C = (f"GPU-{letter * 8}-0000" for letter in "abc")
ONE, HALF, GPU = Request(cpus=1), Request(gpu_milli=500), Request(gpus=1)


def attempt(
    index: int, request: Request, phase: Phase = Phase.WAITING, given_: str | None = None
) -> LocalAttempt:
    queue = Queue.GPU if request.gpus or request.gpu_milli else Queue.CPU
    note = Note(queue, request, "/v/t", 1, None, None, None, 30.0, given_)
    return LocalAttempt(AttemptKey(0, index, 1, uuid4()), KEEPER, note, phase)


def running(request: Request, given_: str | None = None, index: int = 100) -> LocalAttempt:
    return attempt(index, request, Phase.RUNNING, given_)


def state(*attempts: LocalAttempt, cpu: int = 4, gpu: int = 0, **found: Any) -> PilotState:
    made = PilotState({Queue.CPU: cpu, Queue.GPU: gpu}, FoundResources(**found))
    for each in attempts:
        made.add(each)
    return made


def boards(*uuids: str, memory: int | None = 40 * GB) -> tuple[Device, ...]:
    return tuple(Device(uuid, memory_bytes=memory) for uuid in uuids)


def started(found: PilotState) -> list[tuple[int, str | None]]:
    return [(each.key.index, given_) for each, given_ in startable(found)]


def in_order(*requests: Request) -> list[LocalAttempt]:
    return [attempt(index, request) for index, request in enumerate(requests)]


def test_memory_and_scratch_bound_what_starts() -> None:
    big = Request(cpus=1, memory_bytes=6 * GB)
    found = state(*in_order(big, big, ONE), memory_bytes=10 * GB)
    assert started(found) == [(0, None)], "the second one waits for memory, and is not overtaken"
    disk = Request(cpus=1, scratch_bytes=6 * GB)
    assert started(state(*in_order(disk, disk), scratch_bytes=10 * GB)) == [(0, None)]
    assert len(started(state(*in_order(big, big)))) == 2, "unknown: refuses nothing"


def test_memory_is_what_the_operator_enabled_of_what_was_found() -> None:
    found = state(memory_bytes=10 * GB)
    assert offered(found).memory_bytes == 10 * GB
    found.memory_bytes = 4 * GB
    assert offered(found).memory_bytes == 4 * GB
    found.memory_bytes = 20 * GB
    assert offered(found).memory_bytes == 10 * GB


def test_parts_are_spread_over_devices_and_share_one_only_then() -> None:
    found = state(*in_order(HALF, HALF, HALF, GPU), gpu=2, devices=boards(A, B))
    assert started(found) == [(0, A), (1, B), (2, A)]
    beside = state(running(HALF, A), *in_order(GPU, HALF), gpu=2, devices=boards(A, B))
    assert started(beside) == [(0, B), (1, A)]


def test_memory_of_a_device_bounds_its_parts() -> None:
    part = Request(gpu_milli=100, vram_bytes=30 * GB)
    assert started(state(*in_order(part, part), gpu=1, devices=boards(A))) == [(0, A)]
    assert len(started(state(*in_order(part, part), gpu=1, devices=boards(A, memory=None)))) == 2


def test_a_gpu_job_takes_cpu_slots_only_if_it_says_so() -> None:
    busy = running(Request(cpus=4))
    assert started(state(busy, *in_order(GPU), gpu=1)) == [(0, "0")]
    assert started(state(busy, *in_order(replace(GPU, cpus=1)), gpu=1)) == []


@pytest.mark.parametrize("alone", [Request(cpus=1, exclusive=True), replace(GPU, exclusive=True)])
def test_an_exclusive_job_is_alone(alone: Request) -> None:
    found = state(running(ONE), *in_order(alone, ONE, GPU), gpu=1)
    assert started(found) == [], "nothing overtakes it, on either queue"
    found.drop(next(iter(found.attempts)))
    [(first, given_)] = startable(found)
    assert first.key.index == 0
    first.phase, first.note = Phase.RUNNING, replace(first.note, devices=given_)
    assert started(found) == []
    found.drop(first.key)
    assert [index for index, _ in started(found)] == [1, 2]


def test_one_queue_does_not_keep_from_the_other_what_that_waits_for() -> None:
    with_cpus = replace(GPU, cpus=2)
    found = state(running(Request(cpus=3)), *in_order(with_cpus, ONE), gpu=1)
    assert started(found) == [], "the cpu slot is for the job that came first"
    found = state(running(GPU, "0"), *in_order(with_cpus, ONE), gpu=1)
    assert started(found) == [(1, None)], "it waits for a GPU, not for cpu slots"


def test_lanes_are_not_refilled_while_a_gpu_job_waits_for_what_they_take() -> None:
    policy = ClaimPolicy(paces={0: Pace(0.001, 9)})
    quick = attempt(1, ONE)
    quick.ready = Ready(("true",), {}, -1, "/")
    for request, queued in ((replace(GPU, cpus=2), 0), (replace(GPU, cpus=1), 1), (GPU, 1)):
        busy = [running(ONE), running(GPU, "0", index=101), running(Request(cpus=2), index=102)]
        found = state(*busy, attempt(0, request), quick, gpu=1)
        assert len(run_ahead.to_queue(found, policy, 0.0)) == queued


def test_what_ran_before_the_operator_lowered_something_goes_on_and_nothing_starts() -> None:
    busy = [running(Request(cpus=1, memory_bytes=4 * GB), index=n) for n in (100, 101)]
    found = state(*busy, *in_order(Request(cpus=1, memory_bytes=GB)), memory_bytes=10 * GB)
    found.memory_bytes = 5 * GB
    assert is_overfull(found)
    assert (free(found).memory_bytes, started(found)) == (-3 * GB, [])
    found.drop(busy[0].key)
    assert not is_overfull(found)
    assert started(found) == [(0, None)]


def test_what_can_never_fit_is_named() -> None:
    requests = (Request(cpus=5), Request(cpus=1, memory_bytes=20 * GB), GPU, replace(GPU, gpus=2),
                Request(gpu_milli=100, vram_bytes=50 * GB), Request(cpus=4, exclusive=True))  # fmt: skip
    room = {"gpu": 1, "memory_bytes": 10 * GB, "devices": boards(A)}
    found = state(running(ONE), running(GPU, A, index=101), *in_order(*requests), **room)  # type: ignore[arg-type]
    assert [each.key.index for each in unfit(found)] == [0, 1, 3, 4]
    why = [too_much(each.note.request, offered(found)) for each in unfit(found)]
    assert why == ["5 CPU slots", "20 GB of memory", "2 GPUs", "50 GB of memory on a GPU"]


def test_a_device_with_others_processes_is_not_offered() -> None:
    first, *others = boards(A, B, C)
    found = state(*in_order(GPU, GPU), gpu=2, devices=(replace(first, is_busy=True), *others))
    assert [device.uuid for device in devices(found)] == [B, C]
    assert started(found) == [(0, B), (1, C)]
    all_busy = tuple(replace(each, is_busy=True) for each in boards(A, B, C))
    assert len(unfit(state(*in_order(GPU, GPU), gpu=2, devices=all_busy))) == 2


@pytest.mark.parametrize("name", ["0", "GPU-aaaaaaaa", A])
def test_a_device_that_an_older_agent_gave_to_a_job_is_not_given_out_twice(name: str) -> None:
    found = state(running(GPU, name), *in_order(GPU, GPU), gpu=2, devices=boards(A, B))
    found.device_names = {"0": A, "1": B}
    assert started(found) == [(0, B)]


def test_a_job_on_a_device_that_is_no_longer_offered_takes_a_slot() -> None:
    lowered = state(running(GPU, C), *in_order(GPU, GPU), gpu=2, devices=boards(A, B, C))
    assert started(lowered) == [(0, A)], "two slots are enabled"
    gone = state(running(GPU, C), *in_order(GPU, GPU), gpu=3, devices=boards(A, B))
    assert started(gone) == [(0, A), (1, B)], "three slots are enabled"
    part = state(running(HALF, C), *in_order(GPU, GPU, HALF), gpu=2, devices=boards(A, B, C))
    assert started(part) == [(0, A)]


# Notes

REQUESTS = st.builds(
    Request,
    cpus=st.integers(0, 2**31),
    gpus=st.integers(0, 64),
    gpu_milli=st.integers(0, 999),
    vram_bytes=st.integers(0, 2**63),
    memory_bytes=st.integers(0, 2**63),
    scratch_bytes=st.integers(0, 2**63),
    exclusive=st.booleans(),
)


@given(REQUESTS, st.sampled_from(Queue))
def test_a_request_survives_in_a_note(request: Request, queue: Queue) -> None:
    if queue is Queue.CPU:
        request = replace(request, cpus=max(1, request.cpus), gpus=0, gpu_milli=0)
    else:
        request = replace(request, gpus=0 if request.gpu_milli else max(1, request.gpus))
    note = Note(queue, request, "/v/t", 1, None, None, None, 30.0)
    assert Note.from_json(note.to_json()) == note


@pytest.mark.parametrize(
    ("queue", "slots", "memory", "request_"),
    [
        ("cpu", 3, None, Request(cpus=3)),
        ("cpu", 1, GB, Request(cpus=1, memory_bytes=GB)),
        ("gpu", 2, GB, Request(gpus=2, memory_bytes=GB)),
    ],
)
def test_the_note_of_an_older_agent_is_read(
    queue: str, slots: int, memory: int | None, request_: Request
) -> None:
    older = {
        "q": queue, "s": slots, "f": "/v/t", "n": 1, "d": None, "c": None, "t": None, "g": 30.0, "v": None, "m": memory,
    }  # fmt: skip
    assert Note.from_json(older).request == request_
    assert Note.from_json(older).to_json() == older


def test_an_idle_node_offers_all_that_is_enabled() -> None:
    assert free(state(cpu=3)) == offered(state(cpu=3)) == Room(cpus=3)
