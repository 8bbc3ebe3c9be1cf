"""What a node has left as its jobs end, one after another. Pure.

Only the amounts that jobs take are known here, not which GPUs: parts of GPUs are assumed to be spread over them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from math import ceil, inf, isinf
from operator import attrgetter, sub
from typing import NamedTuple

from orchestra.domain.expected_time import expected_seconds
from orchestra.domain.resources import WHOLE, Request, Room


@dataclass(frozen=True, slots=True)
class Running:
    """A job on a node.

    Args:
        seconds_left: until it is expected to end; infinity if unknown.
        guess: the same, but as long again as it has run where nothing is known; None for `seconds_left`.
    """

    request: Request
    seconds_left: float = inf
    guess: float | None = None


@dataclass(frozen=True, slots=True)
class Host:
    """A node: what it has when it is idle, and its jobs, the oldest first."""

    id: int
    capacity: Room
    running: Sequence[Running] = ()


@dataclass(frozen=True, slots=True)
class Spare:
    """What is left of a node beside the job for which it is reserved, when that starts. None: unknown."""

    cpus: int = 0
    gpu_milli: int = 0
    memory_bytes: int | None = None
    scratch_bytes: int | None = None

    def has_room_for(self, request: Request) -> bool:
        """Whether a job fits into it."""
        return (
            not request.exclusive
            and request.cpus <= self.cpus
            and milli_of(request) <= self.gpu_milli
            and (self.memory_bytes is None or request.memory_bytes <= self.memory_bytes)
            and (self.scratch_bytes is None or request.scratch_bytes <= self.scratch_bytes)
        )


NOTHING = Spare()


def seconds_left(
    age: float,
    *,
    typical: float | None = None,
    p95: float | None = None,
    walltime: float | None = None,
    timeout: float | None = None,
    unknown: float = inf,
) -> float:
    """Return the seconds until a job of some age is expected to end; `unknown` if no usual time is known.

    The first of the usual times that it has not reached yet counts. Beyond all of them, it is expected to take as long
    again, up to its timeout.
    """
    known = [seconds for seconds in (typical, p95, walltime) if seconds is not None]
    left = next((seconds - age for seconds in known if seconds > age), age if known else unknown)
    return left if timeout is None else max(0.0, min(left, timeout - age))


def seconds_at_most(
    walltime: float | None, timeout: float | None, p95: float | None, grace: float
) -> float | None:
    """Return how long a job takes at most, with its grace, as far as is known; None if unknown."""
    known = expected_seconds(walltime, timeout, p95)
    return None if known is None else known + grace


def milli_of(request: Request) -> int:
    return request.gpu_milli or request.gpus * WHOLE


Start = tuple[float, int, int]
"""When a job could start: after so many seconds, when that many jobs have ended, on the host with that id."""


class Timeline:
    """What a host has left now, after the end of one job, of two jobs, ..., in the order of their expected ends.

    The amounts only grow, so that a search by halves finds the first place with enough of each.
    """

    def __init__(self, host: Host) -> None:
        self._host, self._room = host.id, host.capacity
        jobs = sorted(host.running, key=_seconds_left)
        self._requests = [job.request for job in jobs]
        self._ends_at = [0.0, *[job.seconds_left for job in jobs]]
        self._cpus = _left(self._room.cpus, [request.cpus for request in self._requests])

    @cached_property
    def _memory(self) -> list[int] | None:
        capacity = self._room.memory_bytes
        return (
            None if capacity is None else _left(capacity, [r.memory_bytes for r in self._requests])
        )

    @cached_property
    def _scratch(self) -> list[int] | None:
        capacity = self._room.scratch_bytes
        return (
            None if capacity is None else _left(capacity, [r.scratch_bytes for r in self._requests])
        )

    @cached_property
    def _gpus(self) -> _Gpus:
        devices = len(self._room.devices)
        unshared = _left(devices, [request.gpus for request in self._requests])
        parts = [self._part_of(request) for request in self._requests]
        sharing = _left(0, [-(part > 0) for part in parts])
        taken = _left(0, [-part for part in parts])
        whole = [max(0, n - jobs) for n, jobs in zip(unshared, sharing, strict=True)]
        most = [
            WHOLE if w else max(0, WHOLE - ceil(milli / n)) if n > 0 else 0
            for w, n, milli in zip(whole, unshared, taken, strict=True)
        ]
        left = [max(0, n * WHOLE - milli) for n, milli in zip(unshared, taken, strict=True)]
        return _Gpus(whole, most, left)

    def _part_of(self, request: Request) -> int:
        """Thousandths of a GPU that a job takes by its part of the time or of the memory, whichever is larger."""
        if not request.gpu_milli or not request.vram_bytes:
            return request.gpu_milli
        largest = max((device.vram_bytes or 0 for device in self._room.devices), default=0)
        return max(request.gpu_milli, ceil(request.vram_bytes * WHOLE / largest) if largest else 0)

    def start(self, request: Request, seconds: float) -> Start | None:
        """Return when a job that takes so many seconds could start here; None if never."""
        # A plan for 1,000 nodes calls this 100,000 times: it makes no objects, and looks nothing up without need.
        ends_at = self._ends_at
        ends = bisect_left(self._cpus, request.cpus) if request.cpus else 0
        if request.memory_bytes and self._memory is not None:
            ends = bisect_left(self._memory, request.memory_bytes, ends)
        if request.scratch_bytes and self._scratch is not None:
            ends = bisect_left(self._scratch, request.scratch_bytes, ends)
        if request.gpus:
            ends = bisect_left(self._gpus.whole, request.gpus, ends)
        elif request.gpu_milli:
            ends = bisect_left(self._gpus.most, self._part_of(request), ends)
        if request.exclusive:
            ends = max(ends, len(ends_at) - 1)
        if ends >= len(ends_at) or (request.vram_bytes and not self._has_memory_on_gpus(request)):
            return None
        at = ends_at[ends]
        if at + seconds > self._room.seconds_left and not isinf(at):
            return None
        return at, ends, self._host

    def _has_memory_on_gpus(self, request: Request) -> bool:
        able = (
            device.vram_bytes is None or device.vram_bytes >= request.vram_bytes
            for device in self._room.devices
        )
        return sum(able) >= max(1, request.gpus)

    def spare(self, request: Request, ends: int) -> Spare:
        """Return what is left beside a job after that many ends."""
        if request.exclusive:
            return Spare(0, 0, 0, 0)
        return Spare(
            max(0, self._cpus[ends] - request.cpus),
            max(0, self._gpus.left[ends] - milli_of(request)),
            _beside(self._memory, ends, request.memory_bytes),
            _beside(self._scratch, ends, request.scratch_bytes),
        )


class _Gpus(NamedTuple):
    """Free whole GPUs, thousandths of the GPU with the most left, and thousandths of all."""

    whole: list[int]
    most: list[int]
    left: list[int]


_seconds_left = attrgetter("seconds_left")


def _left(capacity: int, taken: Sequence[int]) -> list[int]:
    """Return what is left beside all jobs, beside all but the first, ..., and without any."""
    left = list(accumulate(reversed(taken), sub, initial=capacity))
    left.reverse()
    return left


def _beside(left: list[int] | None, ends: int, taken: int) -> int | None:
    return None if left is None else max(0, left[ends] - taken)
