"""A trace as a lab makes it, from a seed: bursts of tasks of a few users, small and wide jobs, GPUs. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from bench.simulation import Job
from orchestra.domain.resources import DeviceRoom, Request, Room

GB = 10**9
CPUS, MEMORY, GPUS = 16, 64 * GB, 2
WIDE = 0.15
"""The part of the tasks whose jobs need a whole node."""
ON_GPU = 0.15
STATED = 0.6
"""The part of the tasks whose user says how long a job takes at most."""
LOAD = 1.2
"""The work that is submitted while jobs are submitted, of what the nodes could do in that time."""


def lab(nodes: int = 12) -> list[Room]:
    """Return nodes of 16 CPU slots and 64 GB, every third with two GPUs."""
    return [
        Room(CPUS, tuple(DeviceRoom() for _ in range(GPUS * (n % 3 == 0))), MEMORY)
        for n in range(nodes)
    ]


def generated(
    seed: int, *, tasks: int = 40, users: int = 6, nodes: int = 12, on_gpu: float = ON_GPU
) -> list[Job]:
    """Return the jobs of a trace for `lab(nodes)`. The same seed makes the same trace.

    A few users submit most tasks, often several at once. Times are lognormal: between tasks over two orders of
    magnitude, within a task by a quarter.
    """
    chance = random.Random(seed)
    made = [_task(chance, users, nodes, on_gpu) for _ in range(tasks)]
    work = sum(seconds * _slots(request) for _, _, request, _, times in made for seconds in times)
    length = work / (LOAD * nodes * CPUS)
    jobs: list[Job] = []
    for number, (at, user, request, stated, times) in enumerate(made):
        estimate = round(max(times) * chance.uniform(1.2, 3.0)) if stated else 0.0
        jobs += [
            Job(len(jobs) + n, user, at * length, seconds, request, estimate, task=number)
            for n, seconds in enumerate(times)
        ]
    return jobs


_Made = tuple[float, int, Request, bool, Sequence[float]]


def _task(chance: random.Random, users: int, nodes: int, on_gpu: float) -> _Made:
    """Return when a task comes (0 to 1), its user and request, whether its times are stated, and its jobs' times."""
    bursts = 5
    at = (chance.randrange(bursts) + chance.betavariate(1, 4)) / bursts
    user = min(int(chance.paretovariate(0.8)) - 1, users - 1)
    request = _request(chance, on_gpu)
    typical = min(max(chance.lognormvariate(6.5, 1.1), 20.0), 2 * 3600.0)
    scarce = request.exclusive or request.gpus or request.gpu_milli
    most = 2 * nodes if scarce else 160
    count = max(1, min(most, int(chance.lognormvariate(3.0, 1.0) / (2 if scarce else 1))))
    times = [typical * chance.lognormvariate(0.0, 0.25) for _ in range(count)]
    return at, user, request, chance.random() < STATED, times


def _request(chance: random.Random, on_gpu: float) -> Request:
    kind = chance.random()
    if kind < WIDE:
        return Request(CPUS, exclusive=True)
    if kind < WIDE + on_gpu:
        half = chance.random() < 0.4
        return Request(1, 0, 500, 4 * GB) if half else Request(2, 1)
    cpus = chance.choice((1, 1, 1, 2, 4, 8))
    return Request(cpus, memory_bytes=chance.choice((0, 2, 4, 8)) * GB * cpus)


def _slots(request: Request) -> int:
    return CPUS if request.exclusive else request.cpus
