"""What waits for the pilots of a pool: jobs that they could run and for which nothing is free."""

from __future__ import annotations

import time
from typing import Any

import pytest

from orchestra.domain.models.placement import Placement
from orchestra.domain.models.pools import Load, PoolSettings, Situation
from orchestra.services.pools import pools
from orchestra.services.pools.situation import look, situation
from orchestra.store.cluster import clock
from orchestra.store.tasks import placements
from support.people import caller
from support.ranked import ranked_tasks
from support.world import World

pytestmark = pytest.mark.servers("embedded")  # test_plans.py has its statements on both


class Demand:
    """A pool of ana's account, with allocations of 4 CPUs for an hour."""

    def __init__(self, world: World) -> None:
        self.world = world
        settings = PoolSettings(cpus=4, walltime=3600.0, memory_bytes=8 * 10**9)
        pools.create(world.conn, caller(world.conn), "cpu", "slurm", settings)
        world.conn.execute("update pool set account = 'ana'")

    def task(self, jobs: int = 10, **columns: Any) -> int:
        """A task that may claim; `test_jobs` makes it one that is tested."""
        number = self.world._one("select count(*) from task")
        task = self.world.task(jobs, f"user.ana.t{number}", **{"test_jobs": 0, **columns})
        self.world.conduct(rounds=2)
        return task

    def placed(self, jobs: int = 10, **where: Any) -> int:
        return self.task(jobs, placement_id=placements.intern(self.world.conn, Placement(**where)))

    @property
    def found(self) -> Situation:
        conn = self.world.conn
        return situation(conn, pools.get(conn, "cpu"), clock.now(conn))

    @property
    def loads(self) -> list[tuple[int, int, int]]:
        """By task: jobs, and how many an allocation runs at a time."""
        return [(each.task, each.jobs, each.fit) for each in self.found.loads]

    def has_work(self) -> bool:
        conn = self.world.conn
        return look(conn, pools.get(conn, "cpu"), clock.now(conn))[1]

    def show_node(self, columns: str) -> None:
        """A node of an earlier allocation, which is gone."""
        self.world.pilot("cpu-1-n1")
        self.world.conn.execute(
            "with a as (insert into allocation (id, pool_id, state, started_at, ended_at) "
            "select gen_random_uuid(), id, 'ENDED', now(), now() from pool returning id) "
            "update node set allocation_id = a.id, gone_at = now() from a where name = 'cpu-1-n1'"
        )
        self.world.conn.execute("update pilot set gone_at = now()")
        self.world.conn.execute(f"update node set {columns} where name = 'cpu-1-n1'")


@pytest.fixture
def demand(world: World) -> Demand:
    return Demand(world)


def test_ready_jobs_wait(demand: Demand) -> None:
    small, wide = demand.task(10), demand.task(3, cores=2)
    assert demand.loads == [(small, 10, 4), (wide, 3, 2)]
    assert demand.found.nodes == 1


def test_of_a_task_that_is_tested_the_test_jobs_alone(demand: Demand) -> None:
    task = demand.task(100, test_jobs=5)
    assert demand.loads == [(task, 5, 4)]


def test_jobs_that_are_not_released_yet_count(demand: Demand) -> None:
    task = demand.task(10)
    demand.world.conn.execute(
        "update job set state = 'registered' where task_id = %s and ordinal >= 6", [task]
    )
    assert demand.loads == [(task, 10, 4)]


@pytest.mark.parametrize("limit", [{"max_running": 3}, {}])
def test_limits_are_respected(demand: Demand, limit: dict[str, int]) -> None:
    task = demand.task(10, **limit)
    if not limit:
        demand.world.conn.execute("update person set limit_cpus = 3")
    assert demand.loads == [(task, 3, 4)]


@pytest.mark.parametrize(
    "columns",
    [
        {"account": "bob"},
        {"queue": "gpu", "gpus": 1},
        {"cores": 5},
        {"memory_bytes": 9 * 10**9},
        {"walltime": 3600.0},
        {"timeout": 3600.0},
        {"gpus": 1, "queue": "gpu", "account": "bob"},
    ],
)
def test_what_its_pilots_could_never_run_does_not_count(
    demand: Demand, columns: dict[str, Any]
) -> None:
    demand.task(10, **columns)
    assert demand.loads == []
    assert not demand.has_work()


def test_pilots_that_serve_everybody_run_everybodys(demand: Demand) -> None:
    task = demand.task(10, account="bob")
    demand.world.conn.execute("update pool set serves_all = true")
    assert demand.loads == [(task, 10, 4)]


def test_before_anybody_ran_it_every_account_may_count(demand: Demand) -> None:
    task = demand.task(10, account="bob")
    demand.world.conn.execute("update pool set account = null")
    assert demand.loads == [(task, 10, 4)]


def test_a_held_task_and_one_with_a_delayed_job(demand: Demand) -> None:
    held, other = demand.task(4), demand.task(4)
    demand.world.conn.execute(
        "update task set held_at = now(), held_by = 'ana', held_reason = '' where id = %s",
        [held],
    )
    demand.world.conn.execute(
        "update job set not_before = now() + interval '1 minute' where task_id = %s and ordinal = 0",
        [other],
    )
    assert demand.loads == [(other, 3, 4)]


@pytest.mark.parametrize(
    ("where", "waits"),
    [
        ({"constraint": "pool=cpu"}, True),
        ({"constraint": "pool=gpu"}, False),
        ({"constraint": "cpus>=4"}, True),
        ({"constraint": "cpus>=5"}, False),
        ({"constraint": "memory>=9GB"}, False),
        ({"constraint": "gpu=a100"}, False),
        ({"constraint": "rack=3"}, True),
        ({"constraint": "rack=3,pool=gpu"}, False),
        ({"nodes": ("gauss",)}, False),
        ({"not_nodes": ("gauss",)}, True),
    ],
)
def test_where_jobs_may_run(demand: Demand, where: dict[str, Any], waits: bool) -> None:
    demand.placed(**where)
    assert bool(demand.loads) is waits


@pytest.mark.parametrize(("rack", "waits"), [("3", True), ("4", False)])
def test_labels_are_known_from_its_latest_node(demand: Demand, rack: str, waits: bool) -> None:
    demand.placed(constraint="rack=3")
    demand.show_node(f"labels = jsonb_build_object('rack', '{rack}')")
    assert bool(demand.loads) is waits


def test_a_node_that_had_more_than_was_asked_for(demand: Demand) -> None:
    task = demand.task(10)
    demand.show_node("cpu_enabled = 16, cpu_max = 16")
    assert demand.loads == [(task, 10, 16)]


def test_what_fits_into_free_room_does_not_wait(demand: Demand) -> None:
    first, second = demand.task(6), demand.task(6)
    demand.world.pilot()
    assert demand.loads == [(second, 4, 4)]
    assert demand.world.column(first, "rank") < demand.world.column(second, "rank")
    demand.world.conn.execute("update pilot set leave = true")
    assert demand.loads == [(first, 6, 4), (second, 6, 4)]


def test_all_fits_and_there_is_still_work(demand: Demand) -> None:
    demand.task(6)
    demand.world.pilot()
    assert demand.loads == []
    assert demand.has_work()


def test_room_that_closes_too_soon_is_none(demand: Demand) -> None:
    task = demand.task(6, walltime=600.0)
    demand.world.pilot()
    demand.world.conn.execute(
        "update node set drain_at = now() + interval '5 minutes', drain_at_by = 'ana', drain_at_reason = ''"
    )
    assert demand.loads == [(task, 6, 4)]


def test_jobs_that_a_node_has_claimed_do_not_wait(demand: Demand) -> None:
    task = demand.task(12)
    pilot = demand.world.pilot()
    grants = pilot.claim(cpu=8)
    assert demand.loads == [(task, 4, 4)]
    pilot.start(*grants)
    assert demand.loads == [(task, 4, 4)]


def test_what_another_pool_has_on_its_way_counts_for_a_while(demand: Demand) -> None:
    conn = demand.world.conn
    pools.create(conn, caller(conn), "other", "slurm", PoolSettings(cpus=6))
    conn.execute(
        "insert into allocation (id, pool_id, state) "
        "select gen_random_uuid(), id, 'PENDING' from pool where name = 'other'"
    )
    task = demand.task(10)
    assert demand.loads == [(task, 10, 4)], "the older pool submits first"
    conn.execute("update allocation set state = 'STARTING', started_at = now()")
    assert demand.loads == [(task, 4, 4)]
    conn.execute("update allocation set started_at = now() - interval '3 minutes'")
    assert demand.loads == [(task, 10, 4)]
    conn.execute(
        "update allocation set state = 'PENDING', pool_id = (select id from pool where name = 'cpu')"
    )
    other = pools.get(conn, "other")
    now = clock.now(conn)
    assert [each.jobs for each in situation(conn, other, now).loads] == [6]
    conn.execute("update allocation set submitted_at = now() - interval '61 s'")
    assert [each.jobs for each in situation(conn, other, now).loads] == [10]


def test_nodes_for_the_other_queue_are_no_room(demand: Demand) -> None:
    task = demand.task(4)
    pilot = demand.world.pilot()
    demand.world.conn.execute('update pool set spec = spec || \'{"queue": "gpu"}\'')
    demand.world.conn.execute(
        "update node set pool_id = (select id from pool) where id = %s", [pilot.node]
    )
    pools.create(demand.world.conn, caller(demand.world.conn), "two", "slurm", PoolSettings(cpus=4))
    other = pools.get(demand.world.conn, "two")
    found = situation(demand.world.conn, other, clock.now(demand.world.conn))
    assert [(each.task, each.jobs) for each in found.loads] == [(task, 4)]


def test_what_serves_and_what_is_left_of_it(demand: Demand) -> None:
    task = demand.task(40, typical_seconds=100.0)
    pilot = demand.world.pilot()
    pilot.start(*pilot.claim(cpu=8))
    found = demand.found
    assert found.loads == (Load(task, 32, 4, 100.0),)
    (room,) = found.serving
    assert (room.size, room.tasks) == (2.0, frozenset({task}))
    assert room.free_in == pytest.approx(100.0, abs=5.0)


def test_the_first_jobs_age_until_one_is_measured(demand: Demand) -> None:
    demand.task(40)
    assert demand.found.loads[0].typical is None
    pilot = demand.world.pilot()
    pilot.start(*pilot.claim(cpu=8))
    demand.world.conn.execute("update attempt set started_at = now() - interval '1 minute'")
    assert demand.found.loads[0].typical == pytest.approx(60.0, abs=5.0)


def test_a_thousand_tasks_are_looked_at_quickly(demand: Demand) -> None:
    ranked_tasks(demand.world, 1000, jobs=3)
    for node in range(20):
        demand.world.pilot(f"n{node}", account="bob")
    demand.found  # noqa: B018 - what is read for the first time is slower
    began = time.process_time()
    assert len(demand.found.loads) == 1000
    assert time.process_time() - began < 0.5
