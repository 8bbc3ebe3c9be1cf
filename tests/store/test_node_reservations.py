"""The conductor's duties for the order: what users have used lately, and nodes that wait for jobs that fit on none."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from orchestra.conductor.conductor import Conductor
from orchestra.conductor.order import TaskOrder
from orchestra.domain.errors import DatabaseBusy
from orchestra.domain.fair_share import HALF_LIFE
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.users import UserLimits
from orchestra.domain.models.work import Grant
from orchestra.domain.states import Queue
from orchestra.domain.transitions import TaskInput
from orchestra.interface.queues import ShowOrder
from orchestra.services.tasks import lifecycle
from orchestra.store.driver.database import connect, in_transaction
from orchestra.store.nodes import reservations
from orchestra.store.tasks import live_tasks, placements
from support.site import Site
from support.world import Pilot, World


@dataclass
class Lab:
    """Nodes of 8 slots, with a conductor whose clock the test sets."""

    world: World
    now: float = 1000.0
    order: TaskOrder = field(init=False)

    def __post_init__(self) -> None:
        self.order = TaskOrder(lambda: self.now)

    def conduct(self, seconds: float = 30.0) -> set[Queue]:
        """Let time pass, then rank the tasks and plan; the queues that are woken since a node waits no longer."""
        self.now += seconds
        tasks = live_tasks.read(self.world.conn)
        self.order.rerank(self.world.conn, tasks)
        return in_transaction(self.world.conn, lambda: self.order.reserve(self.world.conn, tasks))

    def held(self, task: int) -> list[str]:
        rows = self.world.conn.execute(
            "select n.name from reservation r join node n on n.id = r.node_id where r.task_id = %s order by 1",
            [task],
        )
        return [row[0] for row in rows]

    def row(self, task: int) -> dict[str, Any]:
        with self.world.conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            cursor.execute(
                "select *, extract(epoch from starts_at - now())::float8 as starts_in, xmin::text from reservation "
                "where task_id = %s",
                [task],
            )
            row = cursor.fetchone()
        assert row
        return row

    def fill(self, *names: str, jobs: int = 6) -> list[tuple[Pilot, tuple[Grant, ...]]]:
        pilots = [self.world.pilot(name) for name in names]
        found = [(pilot, pilot.claim(cpu=jobs)) for pilot in pilots]
        for pilot, grants in found:
            pilot.start(*grants)
        return found


@pytest.fixture
def lab(world: World) -> Lab:
    """Small jobs of ana on three nodes, and a job that needs four slots."""
    world.task(jobs=400, name="user.ana.small", test_jobs=0)
    world.conduct(rounds=2)
    return Lab(world)


def _wide(lab: Lab, **columns: Any) -> int:
    values = {"jobs": 1, "name": "user.ana.wide", "test_jobs": 0, "cores": 4, "priority": 1}
    task = lab.world.task(**{**values, **columns})
    lab.world.conduct(rounds=2)
    return task


def _age(lab: Lab, pilot: Pilot, seconds: float) -> None:
    lab.world.conn.execute(
        "update attempt set started_at = started_at - make_interval(secs => %s) where node_id = %s",
        [seconds, pilot.node],
    )


def test_the_node_that_has_enough_first_waits(lab: Lab) -> None:
    filled = lab.fill("euler", "gauss", "noether")
    lab.world.conn.execute("update task set typical_seconds = 100")
    _age(lab, filled[1][0], 60.0)
    wide = _wide(lab)
    assert lab.conduct() == set()
    assert lab.held(wide) == ["gauss"]
    row = lab.row(wide)
    assert row["starts_in"] == pytest.approx(40.0, abs=5)
    assert (row["spare_cpus"], row["spare_gpu_milli"], row["moves"]) == (0, 2000, 0)
    assert (row["spare_memory"], row["spare_scratch"]) == (None, None), "which are not known"


def test_the_conductor_plans_in_its_rounds(lab: Lab, database_url: str) -> None:
    lab.fill("gauss")
    wide = _wide(lab)
    with connect(database_url) as mine:
        conductor = Conductor(threading.Event(), name="test")
        conductor._begin(mine)
        conductor._tick()
    assert lab.held(wide) == ["gauss"]


def test_a_whole_node_waits_where_no_duration_is_known(lab: Lab) -> None:
    lab.fill("gauss")
    whole = _wide(lab, cores=1, exclusive=True)
    lab.conduct()
    row = lab.row(whole)
    assert (row["starts_at"], row["spare_cpus"], row["spare_memory"]) == (None, 0, 0)


def test_nothing_is_written_while_nothing_changes(lab: Lab) -> None:
    filled = lab.fill("gauss")
    wide = _wide(lab)
    lab.conduct()
    first = lab.row(wide)["xmin"]
    lab.conduct()
    assert lab.row(wide)["xmin"] == first
    pilot, grants = filled[0]
    pilot.end(grants[0])
    lab.conduct(seconds=0.5)
    assert lab.row(wide)["xmin"] == first, "less than a second later"
    lab.conduct()
    assert lab.row(wide)["task_id"] == wide


def test_it_ends_with_the_last_job_to_wait_for(lab: Lab) -> None:
    lab.fill("euler", "gauss")
    wide = _wide(lab)
    lab.conduct()
    assert lab.held(wide) == ["euler"]
    other = lab.world.pilot("hilbert")
    assert {grant.key.task_id for grant in other.claim(cpu=4)} == {wide}
    assert lab.conduct() == set(Queue), "their pilots look again"
    assert lab.held(wide) == []


@pytest.mark.parametrize("given", [TaskInput.HOLD, TaskInput.KILL])
def test_a_task_that_is_held_or_killed_frees_the_node_at_once(
    lab: Lab, given: TaskInput, database_url: str
) -> None:
    lab.fill("gauss")
    wide = _wide(lab)
    lab.conduct()
    with connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        lifecycle.apply(lab.world.conn, wide, given, by="ana", why="a look")
        assert [n.channel for n in listener.notifies(timeout=5, stop_after=1)] == ["orchestra_cpu"]
    assert lab.held(wide) == []


@pytest.mark.parametrize(
    "gone",
    ["update node set drained_at = now(), drained_by = 'ana'", "update pilot set leave = true"],
)
def test_a_node_that_takes_no_jobs_is_replaced(lab: Lab, gone: str) -> None:
    lab.fill("euler", "gauss")
    wide = _wide(lab)
    lab.conduct()
    assert lab.held(wide) == ["euler"]
    key = "id" if "node set" in gone else "node_id"
    euler = "select id from node where name = 'euler'"
    lab.world.conn.execute(f"{gone} where {key} = ({euler})")
    lab.conduct()
    assert lab.held(wide) == ["gauss"]


def test_only_nodes_that_the_task_may_use(lab: Lab) -> None:
    lab.fill("euler", "gauss", "noether")
    anywhere = placements.intern(lab.world.conn, Placement(not_nodes=("euler",)))
    wide = _wide(lab, placement_id=anywhere)
    lab.conduct()
    assert lab.held(wide) == ["gauss"]
    foreign = _wide(lab, name="user.bea.wide", owner="bea")
    lab.world.conn.execute("delete from reservation")
    lab.conduct()
    assert lab.held(foreign) == [], "no pilot serves bea"


def test_a_user_at_a_limit_keeps_no_node_waiting(lab: Lab) -> None:
    lab.fill("gauss")
    wide = _wide(lab)
    lab.world.conn.execute("update person set limit_cpus = 9")
    lab.conduct()
    assert lab.held(wide) == []
    lab.world.conn.execute("update person set limit_cpus = 10")
    lab.conduct()
    assert lab.held(wide) == ["gauss"]


def test_a_task_or_node_that_a_command_has_locked_is_not_waited_for(
    lab: Lab, database_url: str
) -> None:
    """The command may be about to delete the task's reservations."""
    lab.fill("gauss")
    wide = _wide(lab)
    lab.world.conn.execute("set lock_timeout = '5s'")
    with connect(database_url) as other, other.transaction():
        other.execute("select from task where id = %s for update", [wide])
        lab.conduct()
        assert lab.held(wide) == []
    lab.conduct()
    assert lab.held(wide) == ["gauss"]


def test_a_claim_that_takes_from_what_is_spare_waits_for_the_plan(
    lab: Lab, database_url: str
) -> None:
    lab.fill("gauss")
    wide = _wide(lab)
    lab.conduct()
    with connect(database_url) as other, other.transaction():
        reservations.held(other, lock=True)
        lab.world.conn.execute("set lock_timeout = '50ms'")
        with pytest.raises(DatabaseBusy):
            lab.world.conn.execute(
                "update reservation set spare_cpus = 0 where task_id = %s", [wide]
            )


def test_a_node_does_not_wait_in_vain_for_ever(lab: Lab) -> None:
    """A job should fit there, but the pilot does not take it: it knows of a GPU that has failed, for example."""
    lab.fill("euler", "gauss")
    wide = _wide(lab)
    lab.conduct()
    assert lab.held(wide) == ["euler"]
    late = "update reservation set starts_at = now() - interval '61 seconds'"
    lab.world.conn.execute(late)
    lab.conduct()
    assert lab.held(wide) == ["gauss"]
    lab.world.conn.execute(late)
    lab.conduct()
    assert lab.held(wide) == [], "both are left alone for a while"
    lab.conduct(seconds=600)
    assert lab.held(wide) == ["euler"]


def _lately(lab: Lab) -> dict[str, float]:
    rows = lab.world.conn.execute(
        "select name, lately from recent_use join person on id = person_id"
    )
    return dict(rows.fetchall())


def test_recent_use_is_written_once_a_minute_and_read_by_the_next_conductor(lab: Lab) -> None:
    lab.fill("gauss")
    lab.conduct()
    lab.conduct(seconds=HALF_LIFE)
    assert _lately(lab)["ana"] == pytest.approx(6 * (1 - 0.5 ** (300 / HALF_LIFE)), rel=0.05)
    for _ in range(300):
        lab.conduct(seconds=288)
    before = _lately(lab)["ana"]
    assert before == pytest.approx(3.0, rel=0.05)
    lab.conduct(seconds=10)
    assert _lately(lab)["ana"] == before, "not yet"
    lab.world.conn.execute("update recent_use set at = now() - interval '1 day', lately = 8.0")
    lab.order = TaskOrder(lambda: lab.now)
    lab.conduct()
    lab.conduct(seconds=60)
    assert _lately(lab)["ana"] == pytest.approx(4.0, rel=0.05), "a day in which nobody looked"


def test_a_database_clock_that_was_set_back_counts_nothing_twice(lab: Lab) -> None:
    lab.fill("gauss")
    lab.world.conn.execute(
        "insert into recent_use select id, 5.0, now() + interval '1 year' from person where name = 'ana'"
    )
    lab.conduct()
    lab.conduct(seconds=60)
    assert _lately(lab)["ana"] == pytest.approx(5.0, rel=0.01)


def test_who_has_used_less_lately_goes_first_on_both_queues(lab: Lab) -> None:
    world = lab.world
    on_gpu = world.task(3, "user.ana.gpu", queue="gpu", gpus=1, test_jobs=0, priority=999)
    bea = world.task(3, "user.bea.gpu", owner="bea", queue="gpu", gpus=1, test_jobs=0)
    lab.fill("gauss")
    world.conduct(rounds=2)
    lab.conduct()
    assert world.column(bea, "rank") < world.column(on_gpu, "rank")
    world.conn.execute("update person set shares = 1e9 where name = 'ana'")
    world.conn.execute(
        "insert into recent_use select id, 5.0, now() from person where name = 'bea'"
    )
    lab.order.forget()
    lab.conduct()
    assert world.column(bea, "rank") > world.column(on_gpu, "rank")


def test_the_order_is_explained(lab: Lab) -> None:
    """Users by what they use for their shares, tasks by queue and place, and nodes that wait."""
    lab.fill("euler", "gauss")
    lab.world.conn.execute("update person set limit_cpus = 100, shares = 2 where name = 'ana'")
    lab.world.conn.execute("update task set typical_seconds = 100")
    wide = _wide(lab)
    bea = lab.world.task(3, "user.bea.gpu", owner="bea", queue="gpu", gpus=1, test_jobs=0)
    held = lab.world.task(2, "user.bea.held", owner="bea", test_jobs=0)
    lab.world.conduct(rounds=2)
    lifecycle.apply(lab.world.conn, held, TaskInput.HOLD, by="bea", why="a look")
    lab.conduct()
    order = lab.world.interface()(ShowOrder())
    assert [(u.name, u.in_use, u.score, u.shares, u.running, u.waiting) for u in order.users] == [
        ("bea", 0, 0, 1, 0, 5),
        ("ana", 12, pytest.approx(6, abs=0.1), 2, 12, 389),
    ]
    assert order.users[1].limits == UserLimits(cpus=100)
    assert [(task.id, task.place, task.queue, str(task.why)) for task in order.tasks] == [
        (wide, 1, Queue.CPU, "first"),
        (wide - 1, 2, Queue.CPU, f"priority 0, task {wide} has 1"),
        (bea, 1, Queue.GPU, "first"),
        (held, None, Queue.CPU, f"held: release task {held}"),
    ]
    (node,) = order.reserved
    assert (node.node, node.task, node.owner, node.spare_cpus) == ("euler", wide, "ana", 0)
    assert order.tasks[0].starts_at == node.starts_at
    lab.world.conn.execute("update person set limit_running = 12 where name = 'ana'")
    whys = [str(task.why) for task in lab.world.interface()(ShowOrder()).tasks[:2]]
    assert whys == ["waits: ana may use 12 jobs at most"] * 2
    page = Site(lab.world.conn, "ana").get("/queue").text
    for shown in (
        "bea 0.0 0.0 0.0 1 0 5",
        "ana 6.0 12.0 0.0 2 12 389 100 CPU slots, 12 jobs",
        "euler user.ana.wide",
    ):
        assert shown in page
