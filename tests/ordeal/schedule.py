"""Plans what happens when: a pure function of the seed, so that a failure can be reproduced."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestra.domain.models.tasks import Resources
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue

Harm = Callable[[random.Random, float, int], list["Step"]]

LEASE = 4.0
"""Seconds; a stop may be shorter or longer."""


CPUS, GPUS, MEMORY = 3, 1, 4 << 30
ROOM = Room(CPUS, (DeviceRoom(),) * GPUS, MEMORY)
"""What each node has."""

ROUND = 40.0
"""Seconds with faults in one ordeal."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step, `at` seconds after the start."""

    at: float
    what: str
    args: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        args = " ".join(f"{key}={value}" for key, value in self.args.items())
        return f"{self.at:7.2f}  {self.what} {args}"


@dataclass(frozen=True, slots=True)
class JobPlan:
    """What one job does. `fails` holds the attempts that fail, or "always"."""

    seconds: float
    fails: tuple[int | str, ...] = ()
    status: int = 3
    children: int = 0
    lingers: float = 0.0
    stubborn: bool = False


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """A task to create."""

    name: str
    jobs: tuple[JobPlan, ...]
    test_jobs: int = 0
    retries: int = 0
    timeout: float | None = None
    resume: bool = False
    queue: str = "cpu"
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The plan of one ordeal."""

    seed: int
    seconds: float
    nodes: int
    small_disk: bool
    tasks: tuple[TaskPlan, ...]
    steps: tuple[Step, ...]
    mishaps: float = 0.0

    @property
    def requests(self) -> Mapping[str, Request]:
        """What a job of each task takes, by the name of the task."""
        return {task.name: Request.of(Queue(task.queue), task.resources) for task in self.tasks}


def plan(
    seed: int,
    seconds: float = ROUND,
    *,
    calm: bool = False,
    restore: bool | None = None,
    mishaps: float = 0.0,
) -> Schedule:
    """Return the schedule of a seed.

    Args:
        calm: no faults.
        restore: whether an old database is restored; None leaves it to the seed.
        mishaps: faults per second of the network between pilots and the database, without any other faults.
    """
    dice = random.Random(seed)
    nodes = dice.choice((1, 2, 2, 3))
    small_disk = dice.random() < 0.5
    tasks, steps = [], []
    for number, at in enumerate(moments(dice, seconds, 1.8)):
        tasks.append(a_task(dice, f"t{number}"))
        steps.append(Step(at, "submit", {"task": number}))
    if mishaps:
        steps += _lies(random.Random(f"network {seed}"), seconds, mishaps, nodes)
    elif not calm:
        long = random.Random(f"long {seed}")
        for at in moments(long, seconds, 6.0, first=1.0):
            steps.append(Step(at, "submit", {"task": len(tasks)}))
            tasks.append(_long_task(long, f"t{len(tasks)}"))
        rush = random.Random(f"rush {seed}")
        for at in moments(rush, seconds, 8.0, first=2.0):
            steps.append(Step(at, "submit", {"task": len(tasks)}))
            tasks.append(_rush(rush, f"t{len(tasks)}"))
        steps += [_zombie(long, at, nodes) for at in moments(long, seconds, 12.0, first=6.0)]
        # Every other thousand of seeds injects faults before the system has recovered from the last one.
        for at in moments(dice, seconds, 1.0 if seed // 1000 % 2 else 2.5, first=3.0):
            steps += _harm(dice, at, nodes, small_disk)
        for at in moments(dice, seconds, 1.6, first=2.0):
            steps.append(_wish(dice, at))
        chance = dice.random() < 0.3
        if chance if restore is None else restore:
            steps += _restore(dice, seconds)
    steps.sort(key=lambda step: step.at)
    # With dice of their own, so that a seed keeps its faults.
    made = (_with_resources(random.Random(f"{task.name} of {seed}"), task) for task in tasks)
    return Schedule(seed, seconds, nodes, small_disk, tuple(made), tuple(steps), mishaps)


def moments(dice: random.Random, seconds: float, mean: float, *, first: float = 0.0) -> list[float]:
    """Return moments that are `mean` seconds apart on average."""
    found, at = [], first
    while at < seconds:
        found.append(round(at, 2))
        least = min(0.2, mean / 2)
        at += dice.uniform(least, 2 * mean - least)
    return found


# Work


def _with_resources(dice: random.Random, task: TaskPlan) -> TaskPlan:
    """Return a task with what its jobs take: half of them say nothing. Everything fits on an idle node."""
    if dice.random() < 0.5:
        return task
    return replace(task, resources=_resources(dice, task.queue))


def _resources(dice: random.Random, queue: str) -> Resources:
    memory = dice.choice((None, MEMORY // 4, MEMORY // 2, MEMORY))
    exclusive = dice.random() < 0.15
    if queue == "cpu":
        return Resources(dice.choice((1, 1, 2, CPUS)), memory_bytes=memory, exclusive=exclusive)
    return Resources(
        gpus=1,
        gpu_milli=dice.choice((None, 250, 500)),
        cpus_gpu_job=dice.choice((0, 1, 2)),
        memory_bytes=memory,
        exclusive=exclusive,
    )


def a_task(dice: random.Random, name: str) -> TaskPlan:
    """Return a task of a random kind."""
    kind = dice.choice(
        (
            "quick",
            "mixed",
            "mixed",
            "mixed",
            "rough",
            "tested",
            "tested",
            "doomed",
            "slow",
            "resumed",
        )
    )
    queue = "gpu" if dice.random() < 0.2 else "cpu"
    if kind == "quick":
        jobs = tuple(JobPlan(dice.choice((0.0, 0.02, 0.05))) for _ in range(dice.randint(15, 40)))
        return TaskPlan(name, jobs, queue=queue)
    if kind == "rough":
        return TaskPlan(name, _jobs(dice, 5, 9, rough=True), retries=1, queue=queue)
    if kind == "tested":
        return TaskPlan(name, _jobs(dice, 6, 12), test_jobs=3, retries=1, queue=queue)
    if kind == "doomed":
        jobs = tuple(JobPlan(0.2, ("always",)) for _ in range(dice.randint(3, 6)))
        return TaskPlan(name, jobs, test_jobs=2, queue=queue)
    if kind == "slow":
        jobs = tuple(JobPlan(dice.uniform(0.2, 4.0)) for _ in range(dice.randint(3, 6)))
        return TaskPlan(name, jobs, timeout=2.0, queue=queue)
    if kind == "resumed":
        return TaskPlan(name, _jobs(dice, 4, 8), retries=2, resume=True, queue=queue)
    return TaskPlan(name, _jobs(dice, 8, 16), retries=2, queue=queue)


def _long_task(dice: random.Random, name: str) -> TaskPlan:
    """Return a task whose jobs outlast the lease of a stopped keeper, and are started again on another one."""
    seconds = (LEASE * dice.uniform(2.2, 3.0) for _ in range(dice.randint(1, 2)))
    return TaskPlan(name, tuple(JobPlan(round(s, 2)) for s in seconds), retries=1)


def _rush(dice: random.Random, name: str) -> TaskPlan:
    """Return a task whose jobs are pending at the keeper, some of them behind a slow one."""
    jobs = [JobPlan(dice.choice((0.0, 0.01))) for _ in range(dice.randint(40, 80))]
    for _ in range(3):
        jobs[dice.randrange(len(jobs))] = JobPlan(0.0, fails=(1,))
    jobs[dice.randrange(20, len(jobs))] = JobPlan(2.5)
    return TaskPlan(name, tuple(jobs), retries=1)


def _jobs(
    dice: random.Random, least: int, most: int, *, rough: bool = False
) -> tuple[JobPlan, ...]:
    return tuple(_job(dice, rough) for _ in range(dice.randint(least, most)))


def _job(dice: random.Random, rough: bool) -> JobPlan:
    fails: tuple[int | str, ...] = dice.choice(((), (), (), (1,), (1, 2), ("always",)))
    return JobPlan(
        seconds=round(dice.choice((0.05, 0.2, 0.5, 1.0, 2.5)) * dice.uniform(0.5, 1.5), 3),
        fails=fails if dice.random() < 0.6 else (),
        status=dice.randint(1, 125),
        children=dice.choice((0, 1, 2, 3)) if rough else 0,
        lingers=dice.choice((0.0, 5.0)) if rough else 0.0,
        stubborn=rough and dice.random() < 0.5,
    )


# Faults


def _harm(dice: random.Random, at: float, nodes: int, small_disk: bool) -> list[Step]:
    kinds = {
        "kill": 6, "stop": 5, "net": 6, "database": 3, "fight": 2, "full": 2 * small_disk, "kill_job": 2,
        "kill_conductor": 2, "leave": 2, "stop_database": 1, "crash_again": 2, "kill_backend": 1,
    }  # fmt: skip
    kind = dice.choices(list(kinds), list(kinds.values()))[0]
    node = dice.randrange(nodes)
    return _HARM[kind](dice, at, node)


def _zombie(dice: random.Random, at: float, nodes: int) -> Step:
    """Stop a whole pilot until its jobs are requeued."""
    seconds = round(LEASE * dice.uniform(2.6, 3.4), 2)
    return Step(at, "stop", {"who": "both", "node": dice.randrange(nodes), "seconds": seconds})


def _kill(dice: random.Random, at: float, node: int) -> list[Step]:
    who = dice.choice(("agent", "agent", "keeper", "both"))
    return [Step(at, "kill", {"who": who, "node": node, "away": _pause(dice)})]


def _stop(dice: random.Random, at: float, node: int) -> list[Step]:
    who = dice.choice(("agent", "agent", "keeper", "both", "job"))
    seconds = round(dice.choice((0.3, 1.5, 0.7 * LEASE, 2.5 * LEASE)) * dice.uniform(0.8, 1.2), 2)
    return [Step(at, "stop", {"who": who, "node": node, "seconds": seconds})]


def _net(dice: random.Random, at: float, node: int) -> list[Step]:
    mode = dice.choice(("refuse", "stall", "cut", "cut", "cut", "slow"))
    args: dict[str, Any] = {"mode": mode, "node": node if dice.random() < 0.7 else "all"}
    args["seconds"] = round(
        dice.choice((0.5, 2.0, 0.7 * LEASE, 2 * LEASE)) * dice.uniform(0.7, 1.2), 2
    )
    if mode == "cut":
        args |= {"after": int(10 ** dice.uniform(0.5, 4.3)), "way": dice.choice(("up", "down"))}
        args["seconds"] = round(dice.uniform(0.5, 5.0), 2)
    return [Step(at, "net", args)]


def _lies(dice: random.Random, seconds: float, mishaps: float, nodes: int) -> list[Step]:
    """Return the faults of an unreliable network, and the requests of people during them."""
    lies = moments(dice, seconds, 1 / mishaps, first=2.0)
    wishes = moments(dice, seconds, 1.6, first=2.0)
    return [_mishap(dice, at, nodes) for at in lies] + [_wish(dice, at) for at in wishes]


def _mishap(dice: random.Random, at: float, nodes: int) -> Step:
    what = dice.choice(
        ("cut", "silence", "delay", "truncate", "repeat", "repeat", "garble", "garble")
    )
    args = {
        "node": dice.randrange(nodes),
        "what": what,
        "way": dice.choice(("up", "down")),
        "after": int(10 ** dice.uniform(0.0, 3.0)),
        "pick": round(dice.random(), 4),
    }
    if what == "delay":
        args["seconds"] = round(dice.choice((0.05, 0.5, 3.0)) * dice.uniform(0.5, 1.5), 2)
    return Step(at, "mishap", args)


def _database(dice: random.Random, at: float, node: int) -> list[Step]:
    return [Step(at, "kill_database", {"away": _pause(dice)})]


def _crash_again(dice: random.Random, at: float, node: int) -> list[Step]:
    """Kill processes again and again while they restart."""
    who = dice.choice(("agent", "both", "database"))
    steps = []
    for _ in range(dice.randint(2, 4)):
        if who == "database":
            steps.append(Step(round(at, 2), "kill_database", {"away": 0.0}))
        else:
            steps.append(Step(round(at, 2), "kill", {"who": who, "node": node, "away": 0.0}))
        at += dice.uniform(0.3, 1.5)
    return steps


def _anywhere(what: str, **fixed: Callable[[random.Random], Any]) -> Harm:
    """Return a fault that does not concern a single node."""

    def make(dice: random.Random, at: float, _node: int) -> list[Step]:
        return [Step(at, what, {key: roll(dice) for key, roll in fixed.items()})]

    return make


def _one(what: str, **fixed: Callable[[random.Random], Any]) -> Harm:
    def make(dice: random.Random, at: float, node: int) -> list[Step]:
        args = {key: roll(dice) for key, roll in fixed.items()}
        return [Step(at, what, {"node": node, **args})]

    return make


def _pause(dice: random.Random) -> float:
    return round(dice.choice((0.0, 0.3, 2.0, 1.5 * LEASE)) * dice.uniform(0.5, 1.5), 2)


def _some_seconds(dice: random.Random) -> float:
    return round(dice.uniform(1.0, 6.0), 2)


_HARM: dict[str, Harm] = {
    "kill": _kill,
    "stop": _stop,
    "net": _net,
    "database": _database,
    "crash_again": _crash_again,
    "fight": _one("fight", elsewhere=lambda dice: dice.random() < 0.4, seconds=_some_seconds),
    "full": _anywhere("full", seconds=_some_seconds),
    "kill_job": _one("kill_job", pick=random.Random.random),
    "kill_conductor": _one("kill_conductor", away=_pause),
    "leave": _one("leave", how=lambda dice: dice.choice(("signal", "stop", "now", "drain"))),
    "stop_database": _anywhere("stop_database", seconds=_some_seconds),
    "kill_backend": _anywhere("kill_backend", pick=random.Random.random),
}


# Requests of people


def _wish(dice: random.Random, at: float) -> Step:
    wishes = {
        "hold": 3, "release": 4, "kill": 2, "retry": 4, "retry_all": 1, "job_kill": 3, "job_retry": 4,
    }  # fmt: skip
    wish = dice.choices(list(wishes), list(wishes.values()))[0]
    typed = dice.random() < 0.1
    return Step(
        at,
        "wish",
        {
            "wish": wish,
            "pick": round(dice.random(), 4),
            "job": round(dice.random(), 4),
            "typed": typed,
        },
    )


def _restore(dice: random.Random, seconds: float) -> list[Step]:
    as_files = {"as_files": dice.random() < 0.5}
    dumped = dice.uniform(0.2, 0.4) * seconds
    return [
        Step(round(dumped, 2), "keep_database", as_files),
        Step(round(dumped + dice.uniform(2.0, 0.4 * seconds), 2), "restore_database", as_files),
    ]
