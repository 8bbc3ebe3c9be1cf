"""The estimate of how long a job of a task takes, made while the task runs."""

from __future__ import annotations

import pytest

from orchestra.conductor.estimates import Estimates
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.services import work
from orchestra.store.tasks import live_tasks
from support.world import Pilot, World


def _run(world: World, pilot: Pilot, jobs: int, seconds: float) -> None:
    ends = [Outcome(g.key, Cause.EXIT, exit_status=0, seconds=seconds) for g in pilot.claim(jobs)]
    assert len(ends) == jobs
    work.report(world.conn, pilot.keeper, ends)


def test_estimate_follows_the_latest_done_jobs(world: World) -> None:
    task = world.task(jobs=1000, test_jobs=0)
    world.conduct(rounds=2)
    pilot, estimates = world.pilot(), Estimates()

    def learned() -> float | None:
        estimates.tick(world.conn, live_tasks.read(world.conn))
        seconds = world.column(task, "typical_seconds")
        return None if seconds is None else float(seconds)

    assert learned() is None
    _run(world, pilot, 4, 0.01)
    assert learned() == 0.01
    _run(world, pilot, 296, 4.0)
    assert learned() == 4.0
    _run(world, pilot, 30, 1000.0)
    assert learned() == 4.0, "not at each job"
    _run(world, pilot, 170, 4.1)
    assert learned() == 4.0, "not for so little"


def test_how_long_a_job_may_take_is_learned_beside_its_typical_duration(world: World) -> None:
    task = world.task(jobs=30, test_jobs=0)
    world.conduct(rounds=2)
    pilot, estimates = world.pilot(), Estimates()
    for seconds in range(1, 21):
        _run(world, pilot, 1, float(seconds))
    estimates.tick(world.conn, live_tasks.read(world.conn))
    assert world.column(task, "typical_seconds") == 10.5
    assert world.column(task, "p95_seconds") == pytest.approx(19.05)


def test_new_conductor_does_not_repeat_all_estimates(world: World) -> None:
    task = world.task(jobs=20, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    _run(world, pilot, 8, 1.0)
    world.conn.execute("update task set typical_seconds = 9 where id = %s", [task])
    estimates = Estimates()
    estimates.tick(world.conn, live_tasks.read(world.conn))
    assert world.column(task, "typical_seconds") == 9.0
    _run(world, pilot, 3, 1.0)
    estimates.tick(world.conn, live_tasks.read(world.conn))
    assert world.column(task, "typical_seconds") == 1.0
