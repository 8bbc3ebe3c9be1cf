"""Plans what happens when to a pool on a real Slurm: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from orchestra.domain.models.tasks import Resources
from ordeal.schedule import JobPlan, Schedule, Step, TaskPlan, a_task, moments

CPUS = 4
"""What each allocation has: a whole node of the cluster."""
MOST = 4
"""Allocations at once."""

Dice = random.Random


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """The plan of one ordeal of a pool. `by_cgroup`: no process of an allocation outlives it."""

    schedule: Schedule
    by_cgroup: bool


def plan(seed: int, seconds: float) -> PoolPlan:
    """Return the plan of a seed."""
    dice = Dice(f"pool {seed}")
    by_cgroup = dice.random() < 0.7
    tasks: list[TaskPlan] = []
    steps: list[Step] = []
    for at in moments(dice, seconds, 3.0):
        steps.append(Step(at, "submit", {"task": len(tasks)}))
        tasks.append(_task(dice, f"t{len(tasks)}"))
    harms = moments(dice, seconds, 2.0, first=4.0)
    steps += [_harm(dice, at, by_cgroup=by_cgroup) for at in harms]
    steps.sort(key=lambda step: step.at)
    schedule = Schedule(seed, seconds, MOST, False, tuple(tasks), tuple(steps))
    return PoolPlan(schedule, by_cgroup)


def _task(dice: Dice, name: str) -> TaskPlan:
    resources = Resources(dice.choice((1, 1, 1, 2, CPUS)))
    if dice.random() < 0.5:
        return replace(a_task(dice, name), queue="cpu", resources=resources)
    # Long enough that all nodes are busy; nothing that happens to them costs one of these a retry.
    seconds = (round(dice.uniform(1.0, 6.0), 2) for _ in range(dice.randint(8, 16)))
    return TaskPlan(name, tuple(JobPlan(each) for each in seconds), resources=resources)


def _harm(dice: Dice, at: float, *, by_cgroup: bool) -> Step:
    kinds = {
        "scancel": 4, "requeue": 2, "drain": 2, "kill_slurmd": 2, "end_time": 2, "stop_controller": 1,
        "freeze_controller": 1, "refuse": 2, "answer_late": 2, "kill_runner": 3, "kill_agent": 2,
        # Without cgroups nothing finds the processes of a dead keeper.
        "kill_keeper": 2 * by_cgroup, "kill_both": 2 * by_cgroup,
    }  # fmt: skip
    what = dice.choices(list(kinds), list(kinds.values()))[0]
    args: dict[str, Any] = {"pick": round(dice.random(), 4)}
    args |= {key: roll(dice) for key, roll in _ARGS.get(what, {}).items()}
    return Step(at, what, args)


def _seconds(least: float, most: float) -> Callable[[Dice], float]:
    return lambda dice: round(dice.uniform(least, most), 2)


_ARGS: dict[str, dict[str, Callable[[Dice], float]]] = {
    "drain": {"seconds": _seconds(1.0, 10.0)},
    "kill_slurmd": {"seconds": _seconds(0.0, 15.0)},
    "end_time": {"seconds": _seconds(0.0, 4.0)},
    "stop_controller": {"seconds": _seconds(1.0, 10.0)},
    "freeze_controller": {"seconds": _seconds(1.0, 10.0)},
    "refuse": {"seconds": _seconds(1.0, 8.0)},
    "kill_runner": {"seconds": _seconds(0.0, 3.0)},
}
