"""What a job takes of a node, and what a node has room for. Pure.

Both the database's claims and the pilot's allocator count with these, so that they agree on what fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import inf
from sys import maxsize

from orchestra.domain.models.tasks import Resources
from orchestra.domain.states import Queue

WHOLE = 1000
"""Thousandths of a GPU: all of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one job takes.

    Args:
        cpus: CPU slots.
        gpus: whole devices.
        gpu_milli: thousandths of one device, 0 for none; then `gpus` is 0.
        vram_bytes: memory that it needs on each of its devices. Of a shared device it takes so much.
        memory_bytes: memory.
        scratch_bytes: room on the node's own disk.
        exclusive: it takes a node on which nothing else runs.
    """

    cpus: int = 0
    gpus: int = 0
    gpu_milli: int = 0
    vram_bytes: int = 0
    memory_bytes: int = 0
    scratch_bytes: int = 0
    exclusive: bool = False

    @classmethod
    def of(cls, queue: Queue, resources: Resources) -> Request:
        """What each job of a task takes."""
        on_gpu = queue is Queue.GPU
        milli = (resources.gpu_milli or 0) if on_gpu else 0
        return cls(
            cpus=resources.cpus_gpu_job if on_gpu else max(1, resources.cores),
            gpus=max(1, resources.gpus) if on_gpu and not milli else 0,
            gpu_milli=milli,
            vram_bytes=(resources.vram_bytes or 0) if on_gpu else 0,
            memory_bytes=resources.memory_bytes or 0,
            scratch_bytes=resources.scratch_bytes or 0,
            exclusive=resources.exclusive,
        )


def total(requests: Iterable[Request]) -> Request:
    """What jobs on one node take together, apart from GPUs; exclusive if one of them is."""
    cpus = memory = scratch = 0
    exclusive = False
    for request in requests:
        cpus += request.cpus
        if request.memory_bytes or request.scratch_bytes or request.exclusive:
            memory += request.memory_bytes
            scratch += request.scratch_bytes
            exclusive = exclusive or request.exclusive
    return Request(cpus, memory_bytes=memory, scratch_bytes=scratch, exclusive=exclusive)


@dataclass(frozen=True, slots=True)
class DeviceRoom:
    """What is left of one device: thousandths of it, and memory (None if unknown, then no job is refused for it)."""

    milli: int = WHOLE
    vram_bytes: int | None = None

    def within(self, other: DeviceRoom) -> DeviceRoom:
        """This device, bounded by another one in each respect."""
        return DeviceRoom(min(self.milli, other.milli), _least(self.vram_bytes, other.vram_bytes))

    def is_enough(self, request: Request) -> bool:
        """Whether a job could get this device, or its part of it."""
        milli = request.gpu_milli or WHOLE
        return self.milli >= milli and (
            self.vram_bytes is None or self.vram_bytes >= request.vram_bytes
        )

    def without(self, request: Request) -> DeviceRoom:
        """What is left beside a job that has this device, or its part of it."""
        if not request.gpu_milli:
            return DeviceRoom(0, self.vram_bytes and 0)
        left = self.vram_bytes and self.vram_bytes - request.vram_bytes
        return DeviceRoom(self.milli - request.gpu_milli, left)


@dataclass(frozen=True, slots=True)
class Room:
    """What jobs may take on a node. None: unknown, so no job is refused for it.

    Args:
        cpus: CPU slots.
        devices: the GPUs, in the order of their indexes.
        memory_bytes, scratch_bytes: memory, and room on the node's own disk.
        is_idle: nothing runs on it.
        seconds_left: until its jobs must have ended.
    """

    cpus: int = 0
    devices: tuple[DeviceRoom, ...] = ()
    memory_bytes: int | None = None
    scratch_bytes: int | None = None
    is_idle: bool = True
    seconds_left: float = inf

    @property
    def whole_gpus(self) -> int:
        """Devices of which nothing is taken."""
        return sum(device.milli >= WHOLE for device in self.devices)

    def within(self, other: Room) -> Room:
        """This room, bounded by another one in each respect."""
        return Room(
            cpus=min(self.cpus, other.cpus),
            devices=tuple(map(DeviceRoom.within, self.devices, other.devices)),
            memory_bytes=_least(self.memory_bytes, other.memory_bytes),
            scratch_bytes=_least(self.scratch_bytes, other.scratch_bytes),
            is_idle=self.is_idle and other.is_idle,
            seconds_left=min(self.seconds_left, other.seconds_left),
        )

    def at_least_nothing(self) -> Room:
        """This room; amounts below zero, while more is taken than there is, are none."""
        memory, scratch = self.memory_bytes, self.scratch_bytes
        if self.cpus >= 0 and (memory is None or memory >= 0) and (scratch is None or scratch >= 0):
            return self
        return replace(
            self,
            cpus=max(0, self.cpus),
            memory_bytes=memory and max(0, memory),
            scratch_bytes=scratch and max(0, scratch),
        )

    def fits(self, request: Request) -> bool:
        """Whether one more job fits."""
        return self.count(request) > 0

    def count(self, request: Request) -> int:
        """How many jobs with the same request fit together."""
        if request.exclusive and not self.is_idle:
            return 0
        limits = [1] if request.exclusive else []
        limits += [maxsize] if not request.cpus else [self.cpus // request.cpus]
        if request.memory_bytes and self.memory_bytes is not None:
            limits.append(self.memory_bytes // request.memory_bytes)
        if request.scratch_bytes and self.scratch_bytes is not None:
            limits.append(self.scratch_bytes // request.scratch_bytes)
        if request.gpus:
            limits.append(sum(d.is_enough(request) for d in self.devices) // request.gpus)
        if request.gpu_milli:
            limits.append(sum(_parts(device, request) for device in self.devices))
        return max(0, min(limits))

    def place(self, request: Request) -> tuple[int, ...] | None:
        """Return the places in `devices` that the next job gets; None if it does not fit.

        Whole devices are the first free ones. A part is taken of the device with the most left, so that jobs are
        spread over devices before they share one.
        """
        if not self.fits(request):
            return None
        if not (request.gpus or request.gpu_milli):
            return ()
        able = [at for at, device in enumerate(self.devices) if device.is_enough(request)]
        if request.gpu_milli:
            return (max(able, key=lambda at: (self.devices[at].milli, -at)),)
        return tuple(able[: request.gpus])

    def without(self, request: Request, places: tuple[int, ...]) -> Room:
        """What is left beside a job that has the devices at `places`. May be below zero, if it never fitted."""
        devices = tuple(
            device.without(request) if at in places else device
            for at, device in enumerate(self.devices)
        )
        return replace(
            self,
            cpus=0 if request.exclusive else self.cpus - request.cpus,
            devices=tuple(DeviceRoom(0, 0) for _ in devices) if request.exclusive else devices,
            memory_bytes=_less(self.memory_bytes, request.memory_bytes),
            scratch_bytes=_less(self.scratch_bytes, request.scratch_bytes),
            is_idle=False,
        )

    def after(self, request: Request, jobs: int) -> Room:
        """What is left beside so many jobs, placed one after another. They must fit."""
        room = self
        if not (request.gpus or request.gpu_milli or request.exclusive) and jobs:
            return replace(
                room,
                cpus=room.cpus - jobs * request.cpus,
                memory_bytes=_less(room.memory_bytes, jobs * request.memory_bytes),
                scratch_bytes=_less(room.scratch_bytes, jobs * request.scratch_bytes),
                is_idle=False,
            )
        for _ in range(jobs):
            places = room.place(request)
            if places is None:
                raise ValueError(f"{jobs} jobs with {request} do not fit into {self}")
            room = room.without(request, places)
        return room

    def needs(self, request: Request) -> Iterator[str]:
        """Yield the names of what is too little for one job: fields of `Request`."""
        if request.cpus > max(0, self.cpus):
            yield "cpus"
        if request.gpus or request.gpu_milli:
            wanted = request.gpus or 1
            bare = replace(request, vram_bytes=0)
            if sum(device.is_enough(bare) for device in self.devices) < wanted:
                yield "gpu_milli" if request.gpu_milli else "gpus"
            elif sum(device.is_enough(request) for device in self.devices) < wanted:
                yield "vram_bytes"
        if self.memory_bytes is not None and request.memory_bytes > max(0, self.memory_bytes):
            yield "memory_bytes"
        if self.scratch_bytes is not None and request.scratch_bytes > max(0, self.scratch_bytes):
            yield "scratch_bytes"
        if request.exclusive and not self.is_idle:
            yield "exclusive"


def _parts(device: DeviceRoom, request: Request) -> int:
    """How many jobs with the same part of a device fit on one."""
    parts = device.milli // request.gpu_milli
    if request.vram_bytes and device.vram_bytes is not None:
        parts = min(parts, device.vram_bytes // request.vram_bytes)
    return parts


def _least(amount: int | None, other: int | None) -> int | None:
    return min((each for each in (amount, other) if each is not None), default=None)


def _less(amount: int | None, taken: int) -> int | None:
    return None if amount is None else amount - taken
