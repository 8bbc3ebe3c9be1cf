"""Tasks with max_running: the jobs that are released or alive never exceed it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from uuid import uuid4

import psycopg

from orchestra.conductor.successors import Successors
from orchestra.domain.models.work import AttemptKey, Grant, Outcome
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services import work
from orchestra.services.jobs import outcomes
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle, running_limit
from orchestra.store.driver.database import connect, in_transaction
from orchestra.store.tasks import live_tasks, task_mutations
from support.people import as_admin
from support.world import Pilot, World

TAKEN = """
select count(*) from job where task_id = %s and state in ('assigned', 'running') and not_before is null
"""


def taken(world: World, task: int) -> int:
    return int(world._one(TAKEN, task))


def started(
    world: World, limit: int | None, jobs: int = 9, test_jobs: int = 0, retries: int = 0
) -> tuple[int, Pilot]:
    """A task that the conductor has started, and a pilot."""
    task = world.task(jobs=jobs, max_running=limit, test_jobs=test_jobs, retries=retries)
    world.conduct(2)
    return task, world.pilot()


def set_limit(conn: psycopg.Connection, task: int, limit: int | None) -> None:
    def change() -> None:
        task_mutations.lock_task(conn, task)
        running_limit.set_limit(conn, task, limit, by="ana")

    in_transaction(conn, change)


def report(pilot: Pilot, *grants: Grant, status: int = 0) -> outcomes.Recorded:
    ends = [Outcome(g.key, Cause.EXIT, exit_status=status, seconds=0.1) for g in grants]
    return work.report(pilot.conn, pilot.keeper, ends)


def test_a_report_releases_the_next_jobs_and_says_that_there_may_be_some(world: World) -> None:
    task, pilot = started(world, 2)
    first, second = pilot.claim(cpu=8)
    assert pilot.claim(cpu=8) == (), "claims ahead stay within what is released"
    world.conduct()
    assert report(pilot, first).limited == {task: Queue.CPU}
    (third,) = pilot.claim(cpu=8)  # before the conductor's next round
    report(pilot, second, third)
    assert [g.key.index for g in pilot.claim(cpu=8)] == [3, 4]
    assert taken(world, task) == 2
    released = world.conn.execute(
        "select from_state, to_state, jobs, who from event where kind = 'release' order by id"
    ).fetchall()
    assert released == [
        ("registered", "assigned", 2, "orchestra"),
        ("registered", "assigned", 1, "pilot gauss"),
        ("registered", "assigned", 2, "pilot gauss"),
    ]


def test_without_a_limit_a_report_releases_nothing(world: World) -> None:
    _, pilot = started(world, None, jobs=3)
    assert report(pilot, *pilot.claim(cpu=8)).limited == {}


def test_a_job_that_waits_before_a_retry_leaves_its_place_and_comes_back_first(
    world: World,
) -> None:
    task, pilot = started(world, 1, retries=3)
    report(pilot, *pilot.claim(), status=1)
    assert world.counts(task).assigned == 2
    (second,) = pilot.claim(cpu=8)
    assert second.key.index == 1
    world.wait_out_back_off()
    assert taken(world, task) == 1, "its delay is over, and there is no place yet"
    report(pilot, second)
    (again,) = pilot.claim(cpu=8)
    assert (again.key.index, again.key.number) == (0, 2)
    # The last one finds its place free when its delay is over.
    report(pilot, again, status=1)
    set_limit(world.conn, task, 9)
    report(pilot, *pilot.claim(cpu=9))
    assert taken(world, task) == 0
    world.wait_out_back_off()
    assert [g.key.index for g in pilot.claim(cpu=9)] == [0]


def test_the_test_runs_within_the_limit_and_ends_at_the_first_failure(world: World) -> None:
    task, pilot = started(world, 2, test_jobs=4)
    assert world.counts(task).assigned == 2
    for _ in range(2):
        grants = pilot.claim(cpu=8)
        assert len(grants) == 2
        assert all(grant.is_test for grant in grants)
        report(pilot, *grants)
    assert pilot.claim(cpu=8) == (), "the others wait for the end of the test"
    world.conduct()
    assert world.state(task) is TaskState.RUNNING
    assert taken(world, task) == 2
    failing, alive = world.task(name="user.ana.bad", max_running=2, test_jobs=4), 2
    world.conduct(2)
    one, other = (g for g in pilot.claim(cpu=8) if g.key.task_id == failing)
    report(pilot, one, status=1)
    alive -= 1
    assert taken(world, failing) == alive
    world.conduct()
    assert taken(world, failing) == alive
    report(pilot, other)
    world.conduct(3)
    assert world.state(failing) is TaskState.BROKEN


def test_the_limit_can_be_changed_at_any_time(world: World) -> None:
    task, pilot = started(world, 4)
    alive = pilot.claim(cpu=3)
    set_limit(world.conn, task, 1)
    assert taken(world, task) == 3, "what runs goes on, what was only released is withdrawn"
    assert world.jobs(task)[3] is JobState.REGISTERED
    report(pilot, *alive[:2])
    assert pilot.claim(cpu=8) == ()
    report(pilot, alive[2])
    assert len(pilot.claim(cpu=8)) == 1
    set_limit(world.conn, task, 3)
    assert len(pilot.claim(cpu=8)) == 2
    set_limit(world.conn, task, None)
    world.conduct()
    assert taken(world, task) == 6


def test_a_place_that_is_left_without_a_report_is_filled_by_the_conductor(world: World) -> None:
    task, pilot = started(world, 2)
    lifecycle.kill_jobs(world.conn, task, [0], by="ana")
    assert taken(world, task) == 1
    world.conduct()
    (first, second) = pilot.claim(cpu=8)
    # A pilot of the version before releases no successor.
    world.conn.execute(
        "update job set state = 'failed', keeper_id = null where task_id = %s and ordinal = %s",
        [task, first.key.index],
    )
    world.conduct()
    assert taken(world, task) == 2
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="later")
    report(pilot, second)
    world.conduct(2)
    assert taken(world, task) == 1, "nothing is released while it is held"
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conduct()
    assert len(pilot.claim(cpu=8)) == 2


def test_jobs_of_a_lost_node_keep_their_places(world: World) -> None:
    task, pilot = started(world, 2)
    pilot.start(*pilot.claim(cpu=2))
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    world.conduct()
    assert taken(world, task) == 2
    assert [g.key.index for g in world.pilot("noether").claim(cpu=8)] == [0, 1]


def test_a_job_that_the_database_had_forgotten_takes_a_place(world: World) -> None:
    task, pilot = started(world, 2)
    forgotten = AttemptKey(task, 5, 3, uuid4())
    found = work.reconcile(world.conn, pilot.keeper, 0, {forgotten}, {forgotten: 3})
    assert found.adopted == (forgotten,)
    assert taken(world, task) == 2
    assert [g.key.index for g in pilot.claim(cpu=8)] == [0]


def test_pilots_are_woken_once_for_a_job_that_the_reporting_pilot_does_not_claim(
    world: World,
) -> None:
    task, pilot = started(world, 2)
    duty = Successors()

    def woken() -> set[Queue]:
        return duty.tick(world.conn, live_tasks.read(world.conn))

    first, second = pilot.claim(cpu=2)
    assert woken() == set()
    report(pilot, first)
    assert woken() == set(), "the pilot may be about to claim it"
    assert woken() == {Queue.CPU}
    assert woken() == set()
    report(pilot, second)  # this one is behind the first
    assert woken() == woken() == set()
    assert len(pilot.claim(cpu=2)) == 2
    assert taken(world, task) == 2
    assert woken() == set()


class Crowd:
    """Two pilots that fail, lose and finish jobs, two conductors, and a limit that only rises, beside each other."""

    def __init__(self, database_url: str, task: int, limit: int) -> None:
        self.url, self.task, self.limit = database_url, task, limit
        self.until = time.monotonic() + 1.5
        self.errors: list[BaseException] = []
        parts = [self.serve, self.serve, self.conduct, self.conduct, self.raise_limit]
        self.threads = [
            threading.Thread(target=self.repeat, args=(part, seed))
            for seed, part in enumerate(parts)
        ]
        for thread in self.threads:
            thread.start()

    @property
    def is_there(self) -> bool:
        return any(thread.is_alive() for thread in self.threads)

    def repeat(self, part: Callable[[World, random.Random], None], seed: int) -> None:
        chance = random.Random(seed)
        try:
            with connect(self.url) as conn:
                world = World(conn)
                while time.monotonic() < self.until and not self.errors:
                    part(world, chance)
        except BaseException as error:  # noqa: BLE001 - the test reports it
            self.errors.append(error)

    def serve(self, world: World, chance: random.Random) -> None:
        pilot = world.pilot(f"node{threading.get_ident()}")
        for grant in pilot.claim(cpu=8):
            if chance.random() < 0.2:
                pilot.end(grant, cause=chance.choice([Cause.LOST, Cause.RETURNED]))
            else:
                report(pilot, grant, status=int(chance.random() < 0.3))
        world.conn.execute("update job set not_before = now() where not_before > now()")

    def conduct(self, world: World, _: random.Random) -> None:
        world.conduct()

    def raise_limit(self, world: World, _: random.Random) -> None:
        time.sleep(0.2)
        self.limit += 1
        set_limit(world.conn, self.task, self.limit)


def test_beside_each_other_they_never_exceed_the_limit_and_lose_no_place(
    world: World, database_url: str
) -> None:
    task, _ = started(world, 2, jobs=400, retries=9)
    crowd = Crowd(database_url, task, 2)
    while crowd.is_there:
        assert taken(world, task) <= crowd.limit
    assert not crowd.errors, crowd.errors
    assert world.counts(task).done > 5
    world.conduct()
    assert taken(world, task) == crowd.limit
