"""Which jobs wait that the pilots of a pool could run, and for which nothing is free. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from orchestra.domain.allowance import Allowance
from orchestra.domain.models.pools import Load, ServingRoom
from orchestra.domain.node_timeline import Host
from orchestra.domain.pools.ready import Ready
from orchestra.domain.pools.shape import Shape
from orchestra.domain.resources import Request, Room


@dataclass(frozen=True, slots=True)
class Server:
    """A node that takes jobs, which must have ended after `host.capacity.seconds_left`.

    Args:
        kept_for: the task for whose next job it keeps what becomes free.
    """

    host: Host
    kept_for: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """The jobs that wait, and the nodes that take such jobs. The other fields are those of `Situation`.

    Args:
        has_work: jobs may start that the pool could run, perhaps where something is free.
    """

    loads: tuple[Load, ...] = ()
    serving: tuple[ServingRoom, ...] = ()
    has_work: bool = False


def waiting(
    ready: Sequence[Ready],
    servers: Sequence[Server],
    served: Mapping[int, frozenset[int]],
    shape: Shape,
    left_to: Mapping[int, Allowance],
    *,
    horizon: float,
) -> Waiting:
    """Return what waits for pilots of a pool.

    Args:
        ready: in the order in which their jobs start.
        served: for each task the ids of the nodes that may run it.
        shape: what an allocation of the pool offers.
        left_to: what their limits leave to those owners who have some.
        horizon: seconds, beyond which it does not matter when a job ends.
    """
    line = _Line(servers, served, dict(left_to), horizon)
    loads: list[tuple[Ready, Load]] = []
    has_work = False
    for task in ready:
        jobs = line.start(task)
        fit = shape.fit(task) if jobs or not has_work else 0
        has_work = has_work or fit > 0
        if fit and jobs:
            loads.append((task, Load(task.task, jobs, fit, task.typical, task.is_measured)))
    serving = tuple(line.at_work(loads))
    return Waiting(tuple(load for _, load in loads), serving, has_work)


@dataclass(slots=True)
class _Line:
    """The line of tasks, whose jobs take what is free, one task after another."""

    servers: Sequence[Server]
    served: Mapping[int, frozenset[int]]
    left_to: dict[int, Allowance]
    horizon: float
    _free: dict[int, Room] = field(default_factory=dict)
    _begun: dict[int, list[tuple[Request, int, float]]] = field(default_factory=dict)
    _in_vain: set[tuple[object, ...]] = field(default_factory=set)
    _kept: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rooms = {each.host.id: free_room(each.host) for each in self.servers}
        self._free = {host: room for host, room in rooms.items() if _has_space(room)}
        self._kept = {
            each.host.id: each.kept_for for each in self.servers if each.kept_for is not None
        }

    def start(self, task: Ready) -> int:
        """Let the jobs of a task take what is free, and return how many still wait."""
        jobs = task.jobs
        allowed = self.left_to.get(task.owner)
        if allowed is not None:
            jobs = min(jobs, allowed.count(task.request))
            self.left_to[task.owner] = allowed.after(task.request, jobs)
        return jobs - self._place(task, jobs)

    def _place(self, task: Ready, jobs: int) -> int:
        able = self.served[task.task]
        key = able, task.request, task.seconds
        if key in self._in_vain:
            return 0
        left = jobs
        for host in [each for each in self._free if each in able] if left else ():
            left -= self._place_on(host, task, left)
            if not left:
                return jobs
        self._in_vain.add(key)  # what is free only becomes less
        return jobs - left

    def _place_on(self, host: int, task: Ready, jobs: int) -> int:
        room = self._free[host]
        if task.seconds is not None and task.seconds > room.seconds_left:
            return 0
        if self._kept.get(host, task.task) != task.task:
            return 0
        count = min(jobs, room.count(task.request))
        if count:
            rest = room.after(task.request, count)
            self._begun.setdefault(host, []).append((task.request, count, task.typical or 0.0))
            if _has_space(rest):
                self._free[host] = rest
            else:
                del self._free[host]
        return count

    def at_work(self, loads: Sequence[tuple[Ready, Load]]) -> Iterator[ServingRoom]:
        """Yield the nodes that may run such jobs. Many tasks are alike, and so are many nodes."""
        alike: dict[_Kind, list[tuple[Ready, Load]]] = {}
        for task, load in loads:
            kind = self.served[task.task], task.request, task.seconds
            alike.setdefault(kind, []).append((task, load))
        able = list(dict.fromkeys(kind[0] for kind in alike))
        found: dict[tuple[object, ...], tuple[float, frozenset[int]] | None] = {}
        for server in self.servers:
            host = server.host
            key = host.capacity, server.kept_for, tuple(host.id in nodes for nodes in able)
            if key not in found:
                found[key] = _takes(server, alike)
            what = found[key]
            if what:
                ends_in = host.capacity.seconds_left
                yield ServingRoom(*what, self._seconds_left(host), ends_in)

    def _seconds_left(self, host: Host) -> float:
        """Return the seconds until a place on a node is free, on average over its places."""
        jobs = [
            (job.request, 1, job.seconds_left if job.guess is None else job.guess)
            for job in host.running
        ]
        taken = total = 0.0
        for request, count, seconds in [*jobs, *self._begun.get(host.id, ())]:
            part = count * _part(request, host.capacity)
            taken += part
            total += part * min(seconds, self.horizon)
        return total / max(1.0, taken)


_Kind = tuple[frozenset[int], Request, float | None]
"""What makes tasks alike: the nodes that may run them, what a job takes, and for how long."""


def _takes(
    server: Server, alike: Mapping[_Kind, Sequence[tuple[Ready, Load]]]
) -> tuple[float, frozenset[int]] | None:
    """Return the size of a node, in allocations, and the tasks that it may run; None if there is none."""
    room = server.host.capacity
    found = [
        pair
        for (able, request, seconds), pairs in alike.items()
        if server.host.id in able
        and (seconds is None or seconds <= room.seconds_left)
        and room.fits(request)
        for pair in pairs
        if server.kept_for in (None, pair[0].task)
    ]
    if not found:
        return None
    task, load = found[0]
    return room.count(task.request) / load.fit, frozenset(task.task for task, _ in found)


def free_room(host: Host) -> Room:
    """Return what a node has free now."""
    room = host.capacity
    for request, jobs in Counter(job.request for job in host.running).items():
        if not (request.gpus or request.gpu_milli or request.exclusive):
            room = room.after(request, jobs)
            continue
        for _ in range(jobs):
            room = room.without(request, room.place(request) or ())
    return room.at_least_nothing()


def _has_space(room: Room) -> bool:
    return room.cpus > 0 or any(device.milli > 0 for device in room.devices)


def _part(request: Request, capacity: Room) -> float:
    """Return the part of a node that a job takes."""
    most = capacity.count(replace(request, exclusive=False))
    return 1.0 if request.exclusive or not most else 1.0 / most
