"""What fits on a node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.models.tasks import Resources
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue

GB = 10**9


@pytest.mark.parametrize(
    ("queue", "resources", "request_"),
    [
        (Queue.CPU, Resources(), Request(cpus=1)),
        (Queue.CPU, Resources(cores=4, memory_bytes=GB), Request(cpus=4, memory_bytes=GB)),
        (Queue.GPU, Resources(cores=4, gpus=1), Request(gpus=1)),
        (Queue.GPU, Resources(gpus=2, cpus_gpu_job=3), Request(cpus=3, gpus=2)),
        (Queue.GPU, Resources(gpus=1, gpu_milli=500, vram_bytes=GB), Request(gpu_milli=500, vram_bytes=GB)),
        (Queue.CPU, Resources(exclusive=True), Request(cpus=1, exclusive=True)),
    ],
)  # fmt: skip
def test_request_of_a_task(queue: Queue, resources: Resources, request_: Request) -> None:
    assert Request.of(queue, resources) == request_


def test_parts_are_spread_over_devices_before_one_is_shared() -> None:
    room = Room(devices=(DeviceRoom(), DeviceRoom(500), DeviceRoom()))
    half = Request(gpu_milli=500)
    given_ = []
    for _ in range(5):
        places = room.place(half)
        assert places
        given_.append(places[0])
        room = room.without(half, places)
    assert given_ == [0, 2, 0, 1, 2]
    assert room.place(half) is None


def test_memory_of_a_device_bounds_whole_jobs_and_parts() -> None:
    room = Room(devices=(DeviceRoom(1000, 10 * GB), DeviceRoom(1000, 40 * GB)))
    assert room.place(Request(gpus=1, vram_bytes=20 * GB)) == (1,)
    assert room.count(Request(gpus=2, vram_bytes=20 * GB)) == 0
    assert room.count(Request(gpu_milli=100, vram_bytes=8 * GB)) == 6
    assert list(room.needs(Request(gpus=1, vram_bytes=50 * GB))) == ["vram_bytes"]


def test_an_exclusive_job_takes_an_idle_node_alone() -> None:
    alone = Request(cpus=1, exclusive=True)
    room = Room(cpus=8, devices=(DeviceRoom(),))
    assert room.count(alone) == 1
    left = room.after(alone, 1)
    assert (left.count(Request(cpus=1)), left.count(Request(gpus=1))) == (0, 0)
    assert room.after(Request(cpus=1), 1).count(alone) == 0


def test_what_is_unknown_refuses_no_job() -> None:
    wanted = Request(cpus=1, memory_bytes=GB, scratch_bytes=GB)
    assert Room(cpus=3).count(wanted) == 3
    assert Room(cpus=3, memory_bytes=2 * GB).count(wanted) == 2
    assert list(Room(cpus=0, memory_bytes=1, scratch_bytes=1).needs(wanted)) == [
        "cpus",
        "memory_bytes",
        "scratch_bytes",
    ]


_devices = st.tuples(st.integers(0, 1000), st.none() | st.integers(0, 40)).map(
    lambda d: DeviceRoom(*d)
)
_rooms = st.builds(
    Room,
    cpus=st.integers(0, 12),
    devices=st.lists(_devices, max_size=4).map(tuple),
    memory_bytes=st.none() | st.integers(0, 64),
    scratch_bytes=st.none() | st.integers(0, 64),
    is_idle=st.booleans(),
)
_requests = st.builds(
    lambda cpus, gpus, vram, memory, exclusive: Request(
        cpus, gpus[0], gpus[1], vram, memory, 0, exclusive
    ),
    st.integers(0, 4),
    st.sampled_from([(0, 0), (1, 0), (2, 0), (0, 250), (0, 600)]),
    st.integers(0, 20),
    st.integers(0, 16),
    st.booleans(),
).filter(lambda request: request.cpus or request.gpus or request.gpu_milli)


@given(_rooms, _requests)
def test_as_many_jobs_fit_as_are_counted(room: Room, request: Request) -> None:
    jobs = room.count(request)
    left = room.after(request, jobs)
    assert left.place(request) is None
    assert jobs == 0 or left.cpus >= 0
    assert all(device.milli >= 0 for device in left.devices)
    assert all((device.vram_bytes or 0) >= 0 for device in left.devices)
    assert (jobs == 0) == bool(list(room.needs(request)))
