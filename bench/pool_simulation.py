"""A pool in simulated time: tasks, pilots, a rule that decides, and a batch system that refuses, fails and is slow.

The rule of Orchestra is `domain/pools/decision.py` itself; `bench/pool_rules.py` has those of others. Pure.
"""

from __future__ import annotations

import heapq
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import inf
from uuid import UUID

from orchestra.domain.models.pools import (
    Allocation,
    AllocationState,
    BackOff,
    Decision,
    Load,
    PoolLimits,
    ServingRoom,
    Situation,
)
from orchestra.domain.pools import back_off

Rule = Callable[[Situation], Decision]
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
MARGIN = 60.0
"""Seconds before its end at which a pilot takes no more jobs."""


@dataclass(frozen=True, slots=True)
class Burst:
    """A task: at a time, so many jobs of so many seconds, give or take a part of them; the first ones are its test."""

    jobs: int
    seconds: float
    at: float = 0.0
    spread: float = 0.0
    test_jobs: int = 0
    slots: int = 1


@dataclass(frozen=True, slots=True)
class Engine:
    """A batch system.

    Args:
        wait: seconds in the queue, at least and at most.
        start: seconds from there until the pilot serves.
        walltime: of an allocation.
        machines: how many it has.
        refuses: the part of submissions that it refuses, until `well_at`.
        fails: the part of allocations that end at their start, until `well_at`.
        silent: when it answers nothing: from, to. What is submitted then may have been accepted.
        forgets: the part of answers that leave an allocation out that waits or starts, until `well_at`.
    """

    wait: tuple[float, float] = (0.0, 0.0)
    start: float = 3.0
    walltime: float = inf
    machines: float = inf
    refuses: float = 0.0
    fails: float = 0.0
    well_at: float = inf
    silent: tuple[float, float] = (inf, inf)
    forgets: float = 0.0


@dataclass(slots=True)
class Job:
    """A job of a task; `began` is when its attempt did."""

    task: int
    seconds: float
    is_test: bool
    began: float = -1.0
    number: int = 0


@dataclass(slots=True)
class _Task:
    """A task that is there: its jobs in order, and what is known of them."""

    burst: Burst
    waiting: list[Job]
    held: list[Job]
    tests: int
    done: int = 0
    spent: float = 0.0
    running: list[Job] = field(default_factory=list)

    def typical(self, now: float) -> float | None:
        if self.done:
            return self.spent / self.done
        return now - min(job.began for job in self.running) if self.running else None


@dataclass(slots=True)
class Held:
    """An allocation, as it truly is, beside what the pool knows of it."""

    known: Allocation
    number: int
    due: float
    is_real: bool = True
    begins: float = inf
    serves: float = inf
    ended: float = inf
    jobs: dict[int, Job] = field(default_factory=dict)
    free_since: float = 0.0
    served: int = 0

    @property
    def is_pending(self) -> bool:
        """Whether it waits in the engine's queue."""
        return self.is_real and self.begins == inf and self.ended == inf


@dataclass(slots=True)
class Outcome:
    """What became of the tasks, and what it took.

    Args:
        makespan: seconds until the last job ended.
        busy: slot-seconds of jobs that ended well.
        held: slot-seconds of the allocations.
        most: allocations that ran at once.
        submitted, refused, withdrawn, unused: allocations; unused ones began, and ran no job.
        left: jobs that have not ended.
    """

    makespan: float = 0.0
    busy: float = 0.0
    held: float = 0.0
    most: int = 0
    submitted: int = 0
    refused: int = 0
    withdrawn: int = 0
    unused: int = 0
    left: int = 0


class PoolSimulation:
    """The state at a moment.

    Args:
        slots: of a pilot; each allocation has one.
        period: seconds between two decisions, at least one of which follows each new task at once.
        poll: seconds between two questions to the engine.
    """

    def __init__(
        self,
        bursts: Sequence[Burst],
        engine: Engine,
        limits: PoolLimits,
        rule: Rule,
        *,
        slots: int = 4,
        seed: int = 0,
        period: float = 5.0,
        poll: float = 30.0,
    ) -> None:
        self.engine, self.limits, self.rule, self.slots = engine, limits, rule, slots
        self.now = 0.0
        self.held: list[Held] = []
        self.tasks: dict[int, _Task] = {}
        self.back_off = BackOff()
        self.outcome = Outcome()
        self.last = Decision()
        self._random = random.Random(seed)
        self._period, self._poll = period, poll
        self._coming = sorted(enumerate(bursts), key=lambda each: (-each[1].at, -each[0]))
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._waits: list[float] = []
        self._decides_at = 0.0

    # Time

    def run(self, until: float) -> Iterator[tuple[Situation, Decision]]:
        """Run until then or until all has ended, and yield each decision before it is carried out."""
        self._at(0.0, self._ask)
        for _, burst in self._coming:
            self._at(burst.at, self._arrive)
        self._at(0.0, lambda: None)
        while self._events and self.now < until and not self._is_over():
            self.now, _, event = heapq.heappop(self._events)
            event()
            if self._events and self._events[0][0] <= self.now:
                continue
            if self.now >= self._decides_at:
                situation = self.situation()
                self.last = self.rule(situation)
                yield situation, self.last
                self._carry_out(self.last)
                self._decides_at = self.now + self._period
                self._at(self._decides_at, lambda: None)
            self._claim()
        self.outcome.left = sum(
            len(task.waiting) + len(task.held) + len(task.running) for task in self.tasks.values()
        )

    def _at(self, at: float, event: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at, self._count, event))

    def _is_over(self) -> bool:
        live = any(
            each.ended == inf or each.known.state is not AllocationState.ENDED for each in self.held
        )
        return not (live or self.has_work)

    @property
    def has_work(self) -> bool:
        """Whether jobs wait or run, or are still to come."""
        return bool(self._coming) or any(
            task.waiting or task.held or task.running for task in self.tasks.values()
        )

    # What the pool knows

    def situation(self) -> Situation:
        """Return what a decision is made from."""
        loads, begun = self._line()
        tasks = frozenset(load.task for load in loads)
        return Situation(
            self._time(self.now),
            self.limits,
            tuple(loads),
            tuple(self._allocations()),
            tuple(self._room(each, tasks, begun) for each in self.held if self._takes(each)),
            statistics.median(self._waits[-10:]) if self._waits else None,
            self.back_off,
            surplus_since=self.last.surplus_since,
        )

    def _room(self, held: Held, tasks: frozenset[int], begun: dict[int, float]) -> ServingRoom:
        """Return what a pilot does: the seconds that are left in its jobs, and in those that it is about to take."""
        left = begun.get(held.number, 0.0)
        for job in held.jobs.values():
            age, task = self.now - job.began, self.tasks[job.task]
            typical = task.typical(self.now) or 0.0
            left += (max(0.0, typical - age) if task.done else age) * self._size(job)
        able = frozenset(number for number in tasks if self._in_time(self.tasks[number], held))
        return ServingRoom(1.0, able, left / self.slots, self._left(held) - MARGIN)

    def _allocations(self) -> Iterator[Allocation]:
        for each in self.held:
            if each.known.state is not AllocationState.ENDED:
                yield replace(each.known, running=len(each.jobs))

    def _line(self) -> tuple[list[Load], dict[int, float]]:
        """Return the jobs that wait, but for those that start at once: their slot-seconds, by pilot."""
        free = {each.number: self._free(each) for each in self.held if self._takes(each)}
        begun: dict[int, float] = {}
        loads = []
        for number, task in self.tasks.items():
            fit, waiting, typical = (
                self.slots // task.burst.slots,
                len(task.waiting),
                task.typical(self.now),
            )
            for each in self.held if waiting else ():
                if each.number in free and self._in_time(task, each):
                    idle = min(waiting, free[each.number] // task.burst.slots)
                    free[each.number] -= idle * task.burst.slots
                    begun[each.number] = begun.get(each.number, 0.0) + idle * task.burst.slots * (
                        typical or 0.0
                    )
                    waiting -= idle
            if waiting:
                loads.append(Load(number, waiting, fit, typical, task.done > 0))
        return loads, begun

    def _free(self, held: Held) -> int:
        return self.slots - sum(self._size(job) for job in held.jobs.values())

    def _takes(self, held: Held) -> bool:
        is_there = held.serves <= self.now and held.ended == inf
        return (
            is_there
            and held.known.state is not AllocationState.LEAVING
            and self._left(held) > MARGIN
        )

    def _in_time(self, task: _Task, held: Held) -> bool:
        """Whether jobs of the task would end before the allocation."""
        return 1.25 * (task.typical(self.now) or 0.0) + MARGIN <= self._left(held)

    def _left(self, held: Held) -> float:
        return held.begins + self.engine.walltime - self.now

    def _size(self, job: Job) -> int:
        return self.tasks[job.task].burst.slots

    def _time(self, at: float) -> datetime:
        return BEGIN + timedelta(seconds=at)

    # What happens

    def _arrive(self) -> None:
        number, burst = self._coming.pop()
        times = [
            burst.seconds * self._random.uniform(1 - burst.spread, 1 + burst.spread)
            for _ in range(burst.jobs)
        ]
        jobs = [Job(number, each, index < burst.test_jobs) for index, each in enumerate(times)]
        tests = jobs[: burst.test_jobs] or jobs
        held = jobs[len(tests) :]
        self.tasks[number] = _Task(burst, tests[::-1], held[::-1], len(tests) if held else 0)
        self._decides_at = self.now

    def _carry_out(self, decision: Decision) -> None:
        for withdrawn in decision.withdraw:
            held = next(each for each in self.held if each.known.id == withdrawn)
            self.outcome.withdrawn += 1
            if held.is_pending:
                held.ended = self.now
                held.known = replace(
                    held.known, cancelled_at=self._time(self.now), state=AllocationState.ENDED
                )
        for _ in range(decision.submit):
            if not self._submit():
                break

    def _submit(self) -> bool:
        """Submit an allocation, and return whether another may follow."""
        self.outcome.submitted += 1
        ill = self.now < self.engine.well_at
        number = len(self.held) + 1
        held = Held(
            Allocation(
                UUID(int=number), "p", None, AllocationState.SUBMITTING, self._time(self.now)
            ),
            number,
            self.now + self._random.uniform(*self.engine.wait),
        )
        if self._is_silent():
            held.is_real = self._random.random() < 0.5
            self.held.append(held)
            self._at(held.due, self._start)
            return False
        if ill and self._random.random() < self.engine.refuses:
            self.outcome.refused += 1
            self.back_off = back_off.refused(self.back_off, self._time(self.now), "Slurm says no")
            return False
        self.back_off = back_off.accepted(self.back_off)
        held.known = replace(held.known, engine_id=str(number), state=AllocationState.PENDING)
        self.held.append(held)
        self._at(held.due, self._start)
        return True

    def _is_silent(self) -> bool:
        begin, end = self.engine.silent
        return begin <= self.now < end

    def _start(self) -> None:
        """Start what is due, as far as there are machines."""
        used = sum(each.begins < inf and each.ended == inf for each in self.held)
        for held in self.held:
            if held.is_pending and held.due <= self.now and used < self.engine.machines:
                used += 1
                held.begins = self.now
                self.outcome.most = max(self.outcome.most, used)
                if self.now < self.engine.well_at and self._random.random() < self.engine.fails:
                    self._at(self.now + 1, lambda held=held: self._end(held))  # type: ignore[misc]
                else:
                    self._at(self.now + self.engine.start, lambda held=held: self._serve(held))  # type: ignore[misc]

    def _serve(self, held: Held) -> None:
        now = self._time(self.now)
        held.serves = held.free_since = self.now
        self._waits.append(held.begins - (held.known.submitted_at - BEGIN).total_seconds())
        end = held.begins + self.engine.walltime
        held.known = replace(
            held.known,
            engine_id=str(held.number),
            state=AllocationState.SERVING,
            started_at=now,
            ends_at=self._time(end) if end < inf else None,
            pilots=(f"p-{held.number}",),
        )
        if end < inf:
            self._at(end, lambda: self._end(held))
        self._at(self.now + self.limits.idle, lambda: self._leave(held))

    def _leave(self, held: Held) -> None:
        """Let an idle pilot leave."""
        if held.ended < inf or held.jobs:
            return
        if self.now < held.free_since + self.limits.idle:
            self._at(held.free_since + self.limits.idle, lambda: self._leave(held))
        elif sum(self._takes(each) for each in self.held) > self.limits.min_pilots:
            self._end(held)
            self._finish(held)

    def _end(self, held: Held) -> None:
        """End an allocation with its jobs, which wait again; the pool is told by the engine, later."""
        if held.ended < inf:
            return
        held.ended = self.now
        self.outcome.held += self.slots * (self.now - held.begins)
        self.outcome.unused += not held.served
        for job in held.jobs.values():
            task = self.tasks[job.task]
            task.running.remove(job)
            task.waiting.append(job)
        held.jobs.clear()
        self._start()

    def _finish(self, held: Held) -> None:
        """Note the end of an allocation."""
        early = back_off.is_early(held.known, has_work=bool(self._line()[0]))
        if early:
            self.back_off = back_off.early_end(
                self.back_off, self._time(self.now), "Slurm says FAILED"
            )
        held.known = replace(held.known, state=AllocationState.ENDED, ended_at=self._time(self.now))

    def _ask(self) -> None:
        """Ask the engine for all allocations."""
        self._at(self.now + self._poll, self._ask)
        if self._is_silent():
            return
        for held in self.held:
            if held.known.state is AllocationState.ENDED:
                continue
            if not held.is_real or held.ended < inf:
                self._finish(held)
            elif held.serves > self.now:
                self._hear(held)

    def _hear(self, held: Held) -> None:
        forgets = self.now < self.engine.well_at and self._random.random() < self.engine.forgets
        if forgets:
            held.known = replace(held.known, state=AllocationState.UNKNOWN)
            return
        state = AllocationState.PENDING if held.is_pending else AllocationState.STARTING
        held.known = replace(
            held.known, engine_id=str(held.number), state=state, seen_at=self._time(self.now)
        )

    # Jobs

    def _claim(self) -> None:
        for held in self.held:
            if held.ended == inf and self._takes(held):
                self._fill(held)

    def _fill(self, held: Held) -> None:
        free = self._free(held)
        for task in self.tasks.values():
            while task.waiting and free >= task.burst.slots and self._in_time(task, held):
                self._begin(task.waiting.pop(), held, task)
                free -= task.burst.slots

    def _begin(self, job: Job, held: Held, task: _Task) -> None:
        self._count += 1
        job.began, job.number = self.now, self._count
        held.jobs[job.number] = job
        held.served += 1
        task.running.append(job)
        if held.known.first_job_at is None:
            held.known = replace(held.known, first_job_at=self._time(self.now))
            self.back_off = back_off.first_job(self.back_off)
        number = job.number
        self._at(self.now + job.seconds, lambda: self._done(job, number, held))

    def _done(self, job: Job, number: int, held: Held) -> None:
        if held.jobs.get(number) is not job:
            return  # it was lost with its allocation
        del held.jobs[number]
        held.free_since = self.now
        if not held.jobs:
            self._at(self.now + self.limits.idle, lambda: self._leave(held))
        task = self.tasks[job.task]
        task.running.remove(job)
        task.done += 1
        task.spent += job.seconds
        self.outcome.busy += job.seconds * task.burst.slots
        self.outcome.makespan = self.now
        if task.held and task.done >= task.tests:
            task.waiting, task.held = task.held, []
            self._decides_at = self.now
