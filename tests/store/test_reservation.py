"""Jobs that need more slots than any node has free: one node waits for them, the others go on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import pytest

from orchestra.domain.models.work import Grant
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from orchestra.store.driver.database import connect
from support.world import Pilot, World

NODES = ("euler", "gauss", "noether")


@dataclass
class Lab:
    """Nodes of 8 slots, 6 of them used by small jobs, and a wide job of 4 slots with a better rank."""

    world: World
    small: int
    wide: int
    pilots: dict[str, Pilot]
    running: dict[str, deque[Grant]] = field(default_factory=dict)

    def holder(self) -> str | None:
        rows = self.world.conn.execute(
            "select n.name from slot_reservation r join node n on n.id = r.node_id where r.task_id = %s",
            [self.wide],
        ).fetchall()
        return rows[0][0] if rows else None

    def claim(self, name: str, free: int = 2) -> tuple[list[int], bool]:
        """The tasks of the jobs that a node claims, and whether slots are held back."""
        answer = self.pilots[name].claim_answer(cpu=free)
        self.running.setdefault(name, deque()).extend(answer.grants)
        return [grant.key.task_id for grant in answer.grants], bool(answer.held_back)

    def end(self, name: str, jobs: int = 1) -> None:
        self.pilots[name].end(*[self.running[name].popleft() for _ in range(jobs)])

    def silent(self, seconds: float = 16) -> None:
        self.world.conn.execute(
            "update slot_reservation set renewed_at = renewed_at - make_interval(secs => %s)",
            [seconds],
        )


@pytest.fixture
def lab(world: World) -> Lab:
    small = world.task(jobs=400, name="user.ana.small", test_jobs=0)
    world.conduct(rounds=2)
    lab = Lab(world, small, -1, {name: world.pilot(name) for name in NODES})
    for name in NODES:
        assert len(lab.claim(name, 6)[0]) == 6
    lab.wide = world.task(jobs=1, name="user.ana.wide", test_jobs=0, cores=4, priority=1)
    world.conduct(rounds=2)
    return lab


def test_one_node_keeps_its_slots_and_the_others_go_on(lab: Lab) -> None:
    assert lab.claim("gauss") == ([], True)
    assert lab.claim("euler") == ([lab.small] * 2, False)
    assert lab.claim("noether") == ([lab.small] * 2, False)
    assert lab.claim("gauss") == ([], True), "also when it asks again"
    assert lab.holder() == "gauss"
    lab.end("gauss", 2)
    assert lab.claim("gauss", 4) == ([lab.wide], False)
    assert lab.holder() is None
    assert lab.claim("euler", 1) == ([lab.small], False)


def test_a_node_that_is_heard_of_no_more_is_replaced(lab: Lab) -> None:
    lab.claim("gauss")
    lab.silent()
    assert lab.claim("euler") == ([], True)
    assert lab.holder() == "euler"
    assert lab.claim("gauss") == ([lab.small] * 2, False), "it is back, and another one waits"


def test_a_clock_that_was_set_back_does_not_extend_reservations(lab: Lab) -> None:
    lab.claim("gauss")
    lab.silent(-86_400)
    assert lab.claim("euler") == ([], True)


def test_a_job_that_another_node_took_frees_the_slots_at_once(lab: Lab, database_url: str) -> None:
    lab.claim("gauss")
    lab.end("euler", 2)
    with connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        assert lab.claim("euler", 4) == ([lab.wide], False)
        assert [n.channel for n in listener.notifies(timeout=5, stop_after=1)] == ["orchestra_cpu"]
    assert lab.holder() is None
    assert lab.claim("gauss") == ([lab.small] * 2, False)


def test_slots_are_kept_as_long_as_there_is_another_job_to_wait_for(lab: Lab) -> None:
    more = lab.world.task(jobs=2, name="user.ana.more", test_jobs=0, cores=4, priority=2)
    lab.world.conduct(rounds=2)
    lab.wide = more
    assert lab.claim("gauss") == ([], True)
    lab.end("euler", 2)
    assert lab.claim("euler", 4) == ([more], False)
    assert lab.holder() == "gauss"
    assert lab.claim("gauss") == ([], True)


@pytest.mark.parametrize("given", [TaskInput.HOLD, TaskInput.KILL])
def test_a_task_that_is_held_or_killed_frees_the_slots_at_once(
    lab: Lab, given: TaskInput, database_url: str
) -> None:
    lab.claim("gauss")
    with connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        lifecycle.apply(lab.world.conn, lab.wide, given, by="ana", why="a look")
        assert [n.channel for n in listener.notifies(timeout=5, stop_after=1)] == ["orchestra_cpu"]
    assert lab.holder() is None
    assert lab.claim("gauss") == ([lab.small] * 2, False)


def test_a_node_that_is_drained_is_replaced(lab: Lab) -> None:
    lab.claim("gauss")
    lab.world.conn.execute(
        "update node set drained_at = now(), drained_by = 'ana' where name = 'gauss'"
    )
    lab.silent()
    assert lab.claim("gauss") == ([], False)
    assert lab.claim("noether") == ([], True)


def test_the_node_that_expects_the_slots_much_sooner_takes_over(lab: Lab) -> None:
    """A day on gauss, ten minutes on euler; noether, with nine, does not take it over again."""
    conn = lab.world.conn
    conn.execute("update task set typical_seconds = 86400 where id = %s", [lab.small])
    assert lab.claim("gauss") == ([], True)
    for name, left in (("euler", 600), ("noether", 540)):
        conn.execute(
            "update attempt set claimed_at = now() - make_interval(secs => 86400 - %s) where node_id = %s",
            [left, lab.pilots[name].node],
        )
    assert lab.claim("euler") == ([], True)
    assert lab.holder() == "euler"
    assert lab.claim("noether") == ([lab.small] * 2, False)
    assert lab.claim("gauss") == ([lab.small] * 2, False)


def test_two_wide_tasks_are_waited_for_by_two_nodes(lab: Lab) -> None:
    lab.world.task(jobs=1, name="user.ana.other", test_jobs=0, cores=5, priority=1)
    lab.world.conduct(rounds=2)
    assert lab.claim("gauss") == ([], True)
    assert lab.claim("euler") == ([], True)
    assert lab.claim("noether") == ([lab.small] * 2, False)


def test_wide_jobs_start_and_no_more_than_one_node_waits(lab: Lab) -> None:
    """Many rounds in which one small job ends on each node: all wide jobs start, one node idles at a time."""
    wide = lab.world.task(jobs=3, name="user.ana.more", test_jobs=0, cores=4, priority=3)
    lab.world.conduct(rounds=2)
    free, started = dict.fromkeys(NODES, 2), 0
    for _ in range(60):
        idle = []
        for name in NODES:
            tasks, _ = lab.claim(name, free[name])
            free[name] -= sum(4 if task != lab.small else 1 for task in tasks)
            started += tasks.count(wide)
            if free[name]:
                idle.append(name)
        assert len(idle) <= 2, "one for each wide task"
        for name in NODES:
            if lab.running[name]:
                ended = lab.running[name][0].key.task_id
                lab.end(name)
                free[name] += 1 if ended == lab.small else 4
        if started == 3:
            return
    raise AssertionError(f"{started} of 3 wide jobs have started")
