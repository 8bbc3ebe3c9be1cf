"""Which nodes wait for jobs that fit on none now, and what may start there meanwhile. Pure.

Small jobs would keep such a job from ever starting: they take what becomes free before there is enough for it. So the
node that is expected to have enough first is reserved for it. Other jobs start there only if they are expected to end
before it starts, or fit beside it: backfill, as in Slurm.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import isinf

from orchestra.domain.node_timeline import NOTHING, Host, Spare, Start, Timeline, milli_of
from orchestra.domain.resources import Request

LOOKED_AT = 100
"""Tasks for which new reservations are made at most, best first."""
NODES_A_TASK = 4
MOST_OF_NODES = 4
"""One node of so many is reserved at most, but always one."""
EARLIER = 0.8
"""A reservation moves to a node whose start is expected in less than this part of the time; half of that if it has
moved once, a quarter after two moves, and so on, so that it cannot move for ever."""
UNKNOWN = 30 * 86_400.0
"""Seconds with which an unknown start is compared."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A task with `jobs` that may be claimed.

    Args:
        hosts: the nodes that may serve it; None for all.
        seconds: how long a job takes at most, as far as is known, so that it ends in time; 0 if unknown.
    """

    task: int
    request: Request
    jobs: int = 1
    hosts: frozenset[int] | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """A node that waits for the next job of a task, which is expected to start there in so many seconds.

    `starts_in` is infinity if that is unknown; `moves` counts the nodes that it had before.
    """

    host: int
    task: int
    starts_in: float
    spare: Spare = NOTHING
    moves: int = 0


def competes(other: Request, with_: Request) -> bool:
    """Whether jobs with the `other` request could keep one from starting.

    They do if they fit where it does not, and take of what it needs.
    """
    if other.exclusive or with_.exclusive:
        return with_.exclusive and not other.exclusive
    pairs = list(zip(_amounts(with_), _amounts(other), strict=True))
    is_wider = with_.vram_bytes > other.vram_bytes or any(ours > theirs for ours, theirs in pairs)
    return is_wider and any(ours and theirs for ours, theirs in pairs)


def _amounts(request: Request) -> tuple[int, int, int, int]:
    return request.cpus, milli_of(request), request.memory_bytes, request.scratch_bytes


def plan(
    waiting: Sequence[Waiting], hosts: Sequence[Host], held: Iterable[Reservation] = ()
) -> list[Reservation]:
    """Return the reservations there should be.

    Those that are held stay as long as their task has jobs and their node may serve it. The others are for the first of
    `waiting`, which is in the order of ranks, whose next job fits nowhere now.
    """
    return _Planner(waiting, hosts).plan(held)


class _Planner:
    def __init__(self, waiting: Sequence[Waiting], hosts: Sequence[Host]) -> None:
        self._waiting = waiting
        self._timelines = {host.id: Timeline(host) for host in hosts}
        self._requests = {task.request for task in waiting}
        self._most = max(1, len(hosts) // MOST_OF_NODES)
        self._found: dict[tuple[Request, frozenset[int] | None, float], list[Start]] = {}
        self._by_hosts: dict[frozenset[int] | None, Sequence[Timeline]] = {}
        self._taken: dict[int, Reservation] = {}

    def plan(self, held: Iterable[Reservation]) -> list[Reservation]:
        by_task: dict[int, list[Reservation]] = {}
        for each in held:
            by_task.setdefault(each.task, []).append(each)
        for task in self._waiting:
            self._keep(task, by_task.get(task.task, ()))
        for task in [task for task in self._waiting if task.task in by_task]:
            self._move(task)
        looked_at = 0
        for task in self._waiting:
            if len(self._taken) >= self._most or looked_at >= LOOKED_AT:
                break
            looked_at += self._reserve(task)
        return list(self._taken.values())

    def _keep(self, task: Waiting, held: Sequence[Reservation]) -> None:
        """Keep what the task holds, with its present start; the earliest ones, if it has fewer jobs than that."""
        there = []
        for each in held:
            timeline = self._timelines.get(each.host)
            start = (
                timeline.start(task.request, task.seconds)
                if timeline and _serves(task, each.host)
                else None
            )
            if start:
                there.append((start, each.moves))
        for start, moves in sorted(there)[: task.jobs]:
            if len(self._taken) < self._most:
                self._take(task, start, moves)

    def _move(self, task: Waiting) -> None:
        """Move the reservations of a task to nodes where it starts much earlier."""
        for old in [each for each in self._taken.values() if each.task == task.task]:
            best = next(
                (start for start in self._starts(task) if start[2] not in self._taken), None
            )
            if best and is_much_earlier(best[0], old.starts_in, old.moves):
                del self._taken[old.host]
                self._take(task, best, old.moves + 1)

    def _reserve(self, task: Waiting) -> bool:
        """Reserve nodes for a task whose next job fits nowhere; whether there is such a job."""
        if not any(competes(other, task.request) for other in self._requests):
            return False
        starts = self._starts(task)
        if self._fits_now(task, starts):
            return False
        has = sum(each.task == task.task for each in self._taken.values())
        wanted = min(task.jobs, NODES_A_TASK) - has
        for start in starts:
            if wanted <= 0 or len(self._taken) >= self._most:
                break
            if start[2] not in self._taken:
                self._take(task, start, 0)
                wanted -= 1
        return True

    def _fits_now(self, task: Waiting, starts: Sequence[Start]) -> bool:
        for _, ends, host in starts:
            if ends:
                return False
            held = self._taken.get(host)
            if (
                held is None
                or held.spare.has_room_for(task.request)
                or 0 < task.seconds <= held.starts_in
            ):
                return True
        return False

    def _take(self, task: Waiting, start: Start, moves: int) -> None:
        seconds, ends, host = start
        spare = self._timelines[host].spare(task.request, ends)
        self._taken[host] = Reservation(host, task.task, seconds, spare, moves)

    def _starts(self, task: Waiting) -> list[Start]:
        """Where and when the next job of a task could start, the earliest first."""
        key = task.request, task.hosts, task.seconds
        if key not in self._found:
            request, seconds = task.request, task.seconds
            starts = [t.start(request, seconds) for t in self._serving(task.hosts)]
            self._found[key] = sorted(start for start in starts if start)
        return self._found[key]

    def _serving(self, hosts: frozenset[int] | None) -> Sequence[Timeline]:
        if hosts not in self._by_hosts:
            self._by_hosts[hosts] = [
                t for id_, t in self._timelines.items() if hosts is None or id_ in hosts
            ]
        return self._by_hosts[hosts]


def is_much_earlier(seconds: float, than: float, moves: int) -> bool:
    """Whether a start is so much earlier than another one that a reservation, which has moved before, moves to it."""
    return min(seconds, UNKNOWN) < min(than, UNKNOWN) * EARLIER / 2.0 ** min(moves, 60)


def is_contested(requests: Collection[Request]) -> bool:
    """Whether jobs with some of these requests could keep those with others from starting."""
    return any(competes(other, own) for own in requests for other in requests)


def differs(new: Reservation, old: Reservation | None) -> bool:
    """Whether a reservation is to be recorded again, which it is not for a slightly different start."""
    if old is None or replace(new, starts_in=old.starts_in) != old:
        return True
    if isinf(new.starts_in) or isinf(old.starts_in):
        return new.starts_in != old.starts_in
    return abs(new.starts_in - max(0.0, old.starts_in)) > max(1.0, 0.05 * new.starts_in)


def _serves(task: Waiting, host: int) -> bool:
    return task.hosts is None or host in task.hosts
