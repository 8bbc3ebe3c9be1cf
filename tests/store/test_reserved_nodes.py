"""Claims of a node that waits for a job which fits on none now: others start there only if they do not delay it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import Claim, Grant
from orchestra.domain.states import Queue
from support.ranked import ranked_tasks
from support.world import Pilot, World

NODES = ("euler", "gauss", "noether")
MB = 10**6


@dataclass
class Lab:
    """Nodes of 8 slots, 6 of them used by small jobs, and a job of 4 slots with a better rank."""

    world: World
    small: int
    wide: int
    pilots: dict[str, Pilot]
    running: dict[str, deque[Grant]] = field(default_factory=dict)

    def plan(self) -> list[str]:
        """Plan anew; return the nodes that wait."""
        self.world.reserve()
        rows = self.world.conn.execute(
            "select n.name from reservation r join node n on n.id = r.node_id order by 1"
        )
        return [row[0] for row in rows]

    def claim(self, name: str, free: int = 2) -> list[int]:
        """Return the tasks of the jobs that a node claims."""
        answer = self.pilots[name].claim_answer(cpu=free)
        self.running.setdefault(name, deque()).extend(answer.grants)
        return [grant.key.task_id for grant in answer.grants]

    def end(self, name: str, jobs: int = 1) -> None:
        self.pilots[name].end(*[self.running[name].popleft() for _ in range(jobs)])


@pytest.fixture
def lab(world: World) -> Lab:
    small = world.task(jobs=400, name="user.ana.small", test_jobs=0)
    world.conduct(rounds=2)
    lab = Lab(world, small, -1, {name: world.pilot(name) for name in NODES})
    for name in NODES:
        assert len(lab.claim(name, 6)) == 6
    lab.wide = world.task(jobs=1, name="user.ana.wide", test_jobs=0, cores=4, priority=1)
    return lab


def test_one_node_waits_and_the_others_go_on(lab: Lab) -> None:
    lab.world.conduct(rounds=2)
    (waiting,) = lab.plan()
    others = [name for name in NODES if name != waiting]
    answer = lab.pilots[waiting].claim_answer(cpu=2)
    assert (answer.grants, answer.held_back) == ((), {Queue.CPU: (Resources(4),)})
    assert lab.claim(others[0]) == [lab.small] * 2
    lab.end(waiting, 2)
    assert lab.claim(waiting, 4) == [lab.wide]
    assert lab.claim(waiting, 1) == [lab.small], "nothing is waited for, also before the next plan"
    assert lab.plan() == []


def test_any_node_may_take_the_job_meanwhile(lab: Lab) -> None:
    lab.world.conduct(rounds=2)
    (waiting,) = lab.plan()
    other = next(name for name in NODES if name != waiting)
    lab.end(other, 2)
    assert lab.claim(other, 4) == [lab.wide]
    assert lab.plan() == []
    assert lab.claim(waiting) == [lab.small] * 2


@pytest.mark.parametrize("whole", [{"cores": 8}, {"cores": 1, "exclusive": True}])
def test_small_jobs_never_starve_a_job_that_needs_the_whole_node(
    lab: Lab, whole: dict[str, Any]
) -> None:
    """Many rounds in which a small job ends on each node: both start, and no more than one node waits for each."""
    tasks = [
        lab.world.task(1, f"user.ana.whole{n}", test_jobs=0, priority=3, **whole) for n in (0, 1)
    ]
    lab.world.conduct(rounds=2)
    free, started = dict.fromkeys(NODES, 2), []
    for _ in range(40):
        assert len(lab.plan()) <= 1, "a quarter of the nodes"
        for name in NODES:
            pilot = lab.pilots[name]
            jobs = lab.running.setdefault(name, deque())
            grants = pilot.claim(cpu=free[name]) if jobs else pilot.claim(cpu=8)
            jobs.extend(grants)
            if any(grant.key.task_id in tasks for grant in grants):
                started.append(name)
                lab.end(name, len(jobs))
                free[name] = 8
                continue
            free[name] -= len(grants)
            if jobs:
                lab.end(name)
                free[name] += 1
        if len(started) == 2:
            return
    raise AssertionError(f"started on {started}")


# What else may start on a node that waits


@dataclass
class Reserved:
    """A node that waits for a job, written as the conductor writes it."""

    world: World
    pilot: Pilot
    task: int

    def wait(self, **columns: object) -> None:
        values = {"spare_cpus": 0, "spare_gpu_milli": 0, "node_id": self.pilot.node, **columns}
        values["task_id"] = self.task
        names, marks = ", ".join(values), ", ".join(["%s"] * len(values))
        self.world.conn.execute(
            f"insert into reservation ({names}) values ({marks})", [*values.values()]
        )

    def wait_seconds(self, seconds: float) -> None:
        self.wait()
        self.world.conn.execute(
            "update reservation set starts_at = now() + make_interval(secs => %s)", [seconds]
        )

    def spare(self) -> tuple[object, ...] | None:
        return self.world.conn.execute(
            "select spare_cpus, spare_gpu_milli, spare_memory, spare_scratch from reservation"
        ).fetchone()


@pytest.fixture
def reserved(world: World) -> Reserved:
    """It waits for all its slots, which are less than it has free: another job of that task runs."""
    (wide,) = ranked_tasks(world, 1, name="wide", cores=8, jobs=2)
    return Reserved(world, world.pilot(), wide)


def taken(answer: Claim) -> list[int]:
    return [grant.key.task_id for grant in answer.grants]


@pytest.mark.parametrize(
    ("columns", "starts"),
    [
        ({}, False),
        ({"walltime": 60}, True),
        ({"walltime": 80}, False),
        ({"timeout": 60}, True),
        ({"timeout": 60, "walltime": 3600}, False),
        ({"p95_seconds": 55}, True),
        ({"p95_seconds": 60}, False),
        ({"walltime": 30, "cores": 3}, False),
    ],
)
def test_jobs_that_end_before_start_meanwhile(
    reserved: Reserved, columns: dict[str, Any], starts: bool
) -> None:
    """With their grace of 30 s, where 100 s are left."""
    (small,) = ranked_tasks(reserved.world, 1, jobs=5, **columns)
    reserved.wait_seconds(100)
    assert taken(reserved.pilot.claim_answer(cpu=2)) == [small] * (2 * starts)


def test_where_the_start_is_unknown_only_jobs_of_known_length_do(reserved: Reserved) -> None:
    ranked_tasks(reserved.world, 1, name="unknown", jobs=5)
    (small,) = ranked_tasks(reserved.world, 1, jobs=1, walltime=3600)
    reserved.wait()
    assert taken(reserved.pilot.claim_answer(cpu=2)) == [small]


def test_what_fits_beside_it_starts_and_lowers_what_is_spare(reserved: Reserved) -> None:
    world = reserved.world
    (halves,) = ranked_tasks(world, 1, name="halves", queue="gpu", gpu_milli=500, jobs=9)
    (small,) = ranked_tasks(world, 1, jobs=9, memory_bytes=MB)
    ranked_tasks(world, 1, name="whole", exclusive=True)
    reserved.wait(spare_cpus=3, spare_gpu_milli=1200, spare_memory=2 * MB)
    answer = reserved.pilot.claim_answer(cpu=7, gpu=2)
    assert taken(answer) == [halves] * 2 + [small] * 2
    assert reserved.spare() == (1, 200, 0, None)
    assert reserved.pilot.claim(cpu=5, gpu=1) == ()


def test_the_task_that_is_waited_for_may_take_everything(reserved: Reserved) -> None:
    ranked_tasks(reserved.world, 1, jobs=9)
    reserved.wait()
    assert taken(reserved.pilot.claim_answer(cpu=8)) == [reserved.task]
    assert reserved.spare() is None


def test_a_gpu_job_gets_the_cpu_slots_that_it_needs(world: World) -> None:
    """The gpu queue is served first, and small jobs of the cpu queue wait with the node."""
    (small,) = ranked_tasks(world, 1, jobs=9)
    (train,) = ranked_tasks(world, 1, name="train", queue="gpu", gpus=1, cpus_gpu_job=6)
    pilot = world.pilot()
    assert taken(pilot.claim_answer(cpu=8, gpu=1)) == [train, small, small]
    (train,) = ranked_tasks(world, 1, name="again", queue="gpu", gpus=1, cpus_gpu_job=6)
    Reserved(world, pilot, train).wait()
    assert taken(pilot.claim_answer(cpu=5, gpu=1)) == []
    assert taken(pilot.claim_answer(cpu=6, gpu=1)) == [train]


def test_a_claim_takes_nothing_that_cannot_end_in_time(world: World) -> None:
    ranked_tasks(world, 1, name="long", jobs=3, walltime=3600)
    (unknown,) = ranked_tasks(world, 1, jobs=1)
    pilot = world.pilot()
    assert taken(pilot.claim_answer(cpu=8, seconds_left=600)) == [unknown]
