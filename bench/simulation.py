"""Jobs on nodes in simulated time, started in the order that a policy says. Pure.

What may start follows the functions of the scheduler itself: `domain/ranking.py`, `domain/fair_share.py`,
`domain/reservation_plan.py` and `domain/resources.py`. As in Orchestra, a job runs on one node.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import inf

from orchestra.domain.fair_share import (
    LONGEST_STEP,
    NO_LOAD,
    Load,
    Rates,
    Share,
    Size,
    used_lately,
)
from orchestra.domain.node_timeline import Host, Running, Spare, milli_of, seconds_left
from orchestra.domain.ranking import Contender, in_order
from orchestra.domain.reservation_plan import Reservation, Waiting, competes, is_contested, plan
from orchestra.domain.resources import Request, Room
from orchestra.domain.states import Queue

KNOWN_FROM = 5
"""Done jobs of a task from which its times are known."""
MARGIN = 1.25
"""Times of the 95th percentile that a job is taken to need (`domain/node_timeline.py`)."""


class Policy(Enum):
    """The order in which jobs start."""

    FIFO = "FIFO"
    """In the order of submission; one that fits nowhere lets all others wait."""
    HOLD_BACK = "hold back"
    """Fair share; the nodes that could ever run a job that fits nowhere take nothing that would delay it."""
    FAIR_SHARE = "fair share"
    """Fair share; a job that fits nowhere is passed."""
    BACKFILL = "fair share, backfill"
    """Fair share; one node waits for such a job, and takes others that end before it starts or fit beside it."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job of a trace: submitted after so many seconds, it runs for so many.

    Args:
        estimate: how long its user says that it takes at most; 0 if they do not.
        task: jobs of one task have the same user, request and estimate; by default it is a task of its own.
    """

    number: int
    user: int
    submitted: float
    seconds: float
    request: Request
    estimate: float = 0.0
    task: int | None = None

    @property
    def of(self) -> int:
        """The number of its task."""
        return self.number if self.task is None else self.task


@dataclass(frozen=True, slots=True)
class Run:
    """Where and when a job ran."""

    job: Job
    host: int
    started: float

    @property
    def ended(self) -> float:
        return self.started + self.job.seconds

    @property
    def waited(self) -> float:
        return self.started - self.job.submitted


@dataclass(slots=True)
class _Task:
    """Jobs of one task: those that wait, and the times of those that are done, in order."""

    first: Job
    waiting: deque[Job] = field(default_factory=deque)
    done: list[float] = field(default_factory=list)

    def quantile(self, part: float) -> float | None:
        """A time of the done jobs; None as long as few are done."""
        if len(self.done) < KNOWN_FROM:
            return None
        return self.done[min(len(self.done) - 1, int(len(self.done) * part))]

    @property
    def at_most(self) -> float:
        """How long its jobs take at most, as far as is known; 0 if it is not."""
        return self.first.estimate or MARGIN * (self.quantile(0.95) or 0.0)


@dataclass(slots=True)
class _Node:
    """A node: its capacity, what is left of it, and what runs there, with the devices of each job."""

    capacity: Room
    room: Room
    running: dict[int, tuple[Run, tuple[int, ...]]] = field(default_factory=dict)

    def begin(self, run: Run) -> None:
        places = self.room.place(run.job.request)
        assert places is not None, "a job was started where it does not fit"
        self.running[run.job.number] = run, places
        self.room = self.room.without(run.job.request, places)

    def end(self, number: int) -> None:
        del self.running[number]
        self.room = self.capacity
        for run, places in self.running.values():
            self.room = self.room.without(run.job.request, places)


class Simulation:
    """The state at a moment: what waits, what runs, and what users have used.

    Attributes:
        refused: jobs for which no node is large enough; they never run.
    """

    def __init__(self, jobs: Iterable[Job], nodes: Sequence[Room], policy: Policy) -> None:
        self.refused: list[Job] = []
        self._coming = sorted(jobs, key=lambda job: (-job.submitted, -job.number))
        self._policy = policy
        self._now = 0.0
        self._tasks: dict[int, _Task] = {}
        self._ends: list[tuple[float, int, Run]] = []
        self._nodes = [_Node(room, room) for room in nodes]
        self._in_use: dict[int, Load] = {}
        self._lately: dict[int, float] = {}
        self._held: list[Reservation] = []
        self._rates = Rates.of(
            Size(room.cpus, len(room.devices), room.memory_bytes) for room in nodes
        )

    def run(self) -> Iterator[Run]:
        """Run all jobs, and yield each when it ends."""
        while self._coming or self._ends:
            coming = self._coming[-1].submitted if self._coming else inf
            self._advance(min(coming, self._ends[0][0] if self._ends else inf))
            yield from self._end()
            self._submit()
            self._start()

    def _advance(self, now: float) -> None:
        """Count the use since the last event, in steps as the conductor does."""
        for user, load in self._in_use.items():
            in_use, left = self._rates.cost(load), now - self._now
            while left > 0:
                step = min(left, LONGEST_STEP)
                self._lately[user] = used_lately(self._lately.get(user, 0.0), in_use, step)
                left -= step
        self._now = now

    def _end(self) -> Iterator[Run]:
        while self._ends and self._ends[0][0] <= self._now:
            _, _, run = heapq.heappop(self._ends)
            self._nodes[run.host].end(run.job.number)
            insort(self._tasks[run.job.of].done, run.job.seconds)
            self._count(run.job, -1)
            yield run

    def _submit(self) -> None:
        while self._coming and self._coming[-1].submitted <= self._now:
            job = self._coming.pop()
            if any(node.capacity.fits(job.request) for node in self._nodes):
                self._tasks.setdefault(job.of, _Task(job)).waiting.append(job)
            else:
                self.refused.append(job)

    def _start(self) -> None:
        match self._policy:
            case Policy.FIFO:
                self._first_come()
            case Policy.FAIR_SHARE:
                self._pass(self._line())
            case Policy.HOLD_BACK:
                self._hold_back()
            case Policy.BACKFILL:
                self._backfill()

    def _first_come(self) -> None:
        waiting = [task.waiting for task in self._tasks.values() if task.waiting]
        while waiting:
            first = min(waiting, key=lambda jobs: (jobs[0].submitted, jobs[0].number))
            host = next(
                (n for n, node in enumerate(self._nodes) if node.room.fits(first[0].request)), None
            )
            if host is None:
                return
            self._begin(first.popleft(), host)
            waiting = [jobs for jobs in waiting if jobs]

    def _line(self) -> list[_Task]:
        """The tasks with waiting jobs in the scheduler's order."""
        contenders = [
            Contender(number, Queue.CPU, task.first.user, 0, False, len(task.waiting))
            for number, task in self._tasks.items()
            if task.waiting
        ]
        scores = {
            user: Share(self._rates.cost(load), self._lately.get(user, 0.0)).score
            for user, load in self._in_use.items()
        }
        return [self._tasks[each.task] for each in in_order(contenders, scores)]

    def _pass(self, line: Sequence[_Task]) -> None:
        """Start what fits; what fits nowhere is passed."""
        full: set[Request] = set()
        for task in line:
            request = task.first.request
            if request in full:
                continue
            for host, node in enumerate(self._nodes):
                for _ in range(min(len(task.waiting), node.room.count(request))):
                    self._begin(task.waiting.popleft(), host)
            if task.waiting:
                full.add(request)

    def _hold_back(self) -> None:
        blocked: list[Request] = []
        for task in self._line():
            request = task.first.request
            for host, node in enumerate(self._nodes):
                if any(node.capacity.fits(each) and competes(request, each) for each in blocked):
                    continue
                for _ in range(min(len(task.waiting), node.room.count(request))):
                    self._begin(task.waiting.popleft(), host)
            if task.waiting and not any(node.room.fits(request) for node in self._nodes):
                blocked.append(request)

    def _backfill(self) -> None:
        line = self._line()
        if self._held or is_contested({task.first.request for task in line}):
            self._held = plan([_waiting(task) for task in line], self._hosts(), self._held)
        held = {each.host: each for each in self._held}
        for task in line:
            for host, node in enumerate(self._nodes):
                while task.waiting and node.room.fits(task.first.request):
                    kept = _beside(held.get(host), task)
                    if kept is None:
                        break
                    if host in held:
                        held[host] = kept
                    self._begin(task.waiting.popleft(), host)
        # A reservation ends with the start of its job.
        self._held = [
            each for each in held.values() if each.starts_in > 0 and self._tasks[each.task].waiting
        ]

    def _hosts(self) -> list[Host]:
        return [
            Host(number, node.capacity, [self._running(run) for run, _ in node.running.values()])
            for number, node in enumerate(self._nodes)
        ]

    def _running(self, run: Run) -> Running:
        task = self._tasks[run.job.of]
        left = seconds_left(
            self._now - run.started,
            typical=task.quantile(0.5),
            p95=task.quantile(0.95),
            walltime=task.first.estimate or None,
        )
        return Running(run.job.request, left)

    def _begin(self, job: Job, host: int) -> None:
        run = Run(job, host, self._now)
        self._nodes[host].begin(run)
        self._count(job, 1)
        heapq.heappush(self._ends, (run.ended, job.number, run))

    def _count(self, job: Job, sign: int) -> None:
        self._in_use[job.user] = self._in_use.get(job.user, NO_LOAD) + _signed(job.request, sign)


def _signed(request: Request, sign: int) -> Load:
    load = Load.of(request)
    return Load(
        sign * load.jobs,
        sign * load.cpus,
        sign * load.gpu_milli,
        sign * load.memory_bytes,
        sign * load.exclusive,
    )


def _waiting(task: _Task) -> Waiting:
    return Waiting(task.first.of, task.first.request, len(task.waiting), None, task.at_most)


def _beside(held: Reservation | None, task: _Task) -> Reservation | None:
    """Return what is reserved once a job of a task has started on a node; None if it may not."""
    if held is None:
        return Reservation(-1, -1, inf)
    if held.task == task.first.of:
        return replace(held, starts_in=0.0)
    if 0 < task.at_most <= held.starts_in:
        return held
    if not held.spare.has_room_for(task.first.request):
        return None
    return replace(held, spare=_less(held.spare, task.first.request))


def _less(spare: Spare, request: Request) -> Spare:
    return Spare(
        spare.cpus - request.cpus,
        spare.gpu_milli - milli_of(request),
        None if spare.memory_bytes is None else spare.memory_bytes - request.memory_bytes,
        None if spare.scratch_bytes is None else spare.scratch_bytes - request.scratch_bytes,
    )
