"""The limits of users, which claims count together: over what runs and what is granted."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import psycopg
import pytest

from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.work import Claim, Grant, Outcome
from orchestra.domain.states import Cause, Queue
from orchestra.services import work
from orchestra.services.tasks import settings
from orchestra.services.work import queue_claim
from orchestra.store.driver.database import connect
from orchestra.store.tasks import locks
from support.people import as_admin
from support.ranked import ranked_tasks
from support.world import Pilot, World


def limit(world: World, name: str = "ana", /, **limits: int | None) -> None:
    for column, value in limits.items():
        world.conn.execute(
            f"update person set limit_{column} = %s where id = %s", [value, world.person(name)]
        )


def taken(answer: Claim) -> list[int]:
    return [grant.key.task_id for grant in answer.grants]


@pytest.mark.parametrize(
    ("limits", "jobs"),
    [({"running": 3}, 3), ({"cpus": 5}, 2), ({"cpus": 7, "running": 2}, 2), ({"cpus": 1}, 0)],
)
def test_a_claim_takes_what_the_limits_of_an_owner_leave(
    world: World, limits: dict[str, int], jobs: int
) -> None:
    (wide,) = ranked_tasks(world, 1, jobs=8, cores=2)
    others = ranked_tasks(world, 1, name="other", owner="bea", jobs=1)
    limit(world, **limits)
    answer = world.pilot().claim_answer(cpu=8)
    assert taken(answer) == [wide] * jobs + others
    assert world.pilot("other").claim_answer(cpu=8).grants == ()
    assert answer.at_limit == (jobs == 0)


def test_parts_of_gpus_count_and_so_does_what_was_granted_before_the_limit(world: World) -> None:
    (half,) = ranked_tasks(world, 1, jobs=8, queue="gpu", gpu_milli=500)
    ranked_tasks(world, 1, name="whole", jobs=8, queue="gpu", gpus=1)
    one, two = world.pilot("one"), world.pilot("two")
    assert taken(one.claim_answer(cpu=0, gpu=1)) == [half, half]
    limit(world, gpu_milli=1500)
    answer = two.claim_answer(cpu=0, gpu=2)
    assert (taken(answer), answer.at_limit) == ([half], True)
    limit(world, gpu_milli=2500)
    assert taken(two.claim_answer(cpu=0, gpu=1)) == [half, half], "no whole one is left"


def test_what_ends_makes_room_and_a_lowered_limit_ends_nothing(world: World) -> None:
    ranked_tasks(world, 1, jobs=9)
    limit(world, running=2)
    pilot = world.pilot()
    first, second = pilot.claim(cpu=8)
    pilot.start(first)
    limit(world, running=1)
    assert pilot.claim(cpu=8) == ()
    pilot.end(first)
    assert pilot.claim(cpu=8) == (), "one still runs"
    pilot.end(second, cause=Cause.LOST)
    assert [grant.key.index for grant in pilot.claim(cpu=8)] == [1]


def test_jobs_of_an_earlier_revision_count_with_what_they_take(world: World) -> None:
    """Not with what the task says now."""
    task = world.task(jobs=9, test_jobs=0, cores=3)
    world.conduct(rounds=2)
    pilot = world.pilot(is_root=True)
    assert len(pilot.claim(cpu=6)) == 2
    settings.change(world.conn, as_admin(world.conn), task, NewSettings(cores=1))
    limit(world, cpus=8)
    assert len(pilot.claim(cpu=8)) == 2


def test_tasks_of_an_owner_at_the_limit_use_up_no_pages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first one, after which they are left out."""
    monkeypatch.setattr(queue_claim, "TASKS_AT_MOST", 20)
    ranked_tasks(world, 100, name="many")
    (task,) = ranked_tasks(world, 1, name="last", owner="bea")
    limit(world, running=0)
    answer = world.pilot().claim_answer(cpu=8)
    assert (taken(answer), answer.more, answer.at_limit) == ([task], {}, True)


def test_the_pilot_that_ends_a_job_of_a_limited_owner_claims_the_next_one(world: World) -> None:
    (task,) = ranked_tasks(world, 1, jobs=2)
    pilot = world.pilot()
    (grant, _) = pilot.claim(cpu=2)
    outcome = Outcome(grant.key, Cause.EXIT, exit_status=0, seconds=1.0)
    limit(world, running=5)
    assert work.report(world.conn, pilot.keeper, [outcome]).limited == {task: Queue.CPU}


@contextmanager
def pilots(world: World, url: str, count: int) -> Iterator[list[Pilot]]:
    conns = [connect(url) for _ in range(count)]
    try:
        yield [world.pilot(f"node{n}", conn=conn) for n, conn in enumerate(conns)]
    finally:
        for conn in conns:
            conn.close()


def test_claims_at_the_same_time_never_exceed_a_limit(world: World, database_url: str) -> None:
    ranked_tasks(world, 6, jobs=20, cores=2)
    ranked_tasks(world, 6, name="others", owner="bea", jobs=20)
    world.conn.execute("update task set rank = id % 6")
    limit(world, cpus=11)
    limit(world, "bea", running=7)
    with pilots(world, database_url, 4) as crew, ThreadPoolExecutor(len(crew)) as pool:
        together = Barrier(len(crew))

        def claim(pilot: Pilot) -> None:
            grants: list[Grant] = []
            for _ in range(6):
                together.wait(30)
                answer = pilot.claim_answer(cpu=3)
                grants += answer.grants
                assert in_use(pilot.conn, "ana")[1] <= 11
                assert in_use(pilot.conn, "bea")[0] <= 7
                if grants:
                    pilot.end(grants.pop(0))

        list(pool.map(claim, crew))
    pilot = world.pilot()
    while pilot.claim(cpu=8):
        pass
    assert (in_use(world.conn, "ana"), in_use(world.conn, "bea")) == ((5, 10), (7, 7))


def in_use(conn: psycopg.Connection, name: str) -> tuple[int, int]:
    row = conn.execute(
        "select count(*), coalesce(sum(t.cores), 0) from attempt a join task t on t.id = a.task_id "
        "join person p on p.id = t.owner_id where is_open(a) and p.name = %s",
        [name],
    ).fetchone()
    assert row
    return row[0], row[1]


def test_a_claim_with_locks_does_not_wait_for_an_owner(world: World, database_url: str) -> None:
    """The next one begins there."""
    first, second = ranked_tasks(world, 1), ranked_tasks(world, 1, name="limited", owner="bea")
    limit(world, "bea", running=5)
    with connect(database_url) as other, other.transaction():
        assert locks.ClaimLocks().try_owner(other, world.person("bea"))
        pilot = world.pilot()
        answer = pilot.claim_answer(cpu=8)
        assert (taken(answer), list(answer.more)) == (first, [Queue.CPU])
    assert taken(pilot.claim_answer(cpu=8, after=answer.more)) == second
