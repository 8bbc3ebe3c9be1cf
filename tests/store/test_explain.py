"""The facts of `job explain` in every state of a job, at a cost that does not grow with the number of jobs."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

import pytest

from orchestra import command_words
from orchestra.domain.forecast import RunningJobs
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.jobs import explain
from orchestra.services.nodes import drains
from orchestra.services.tasks import lifecycle, settings
from orchestra.store.driver.database import connect
from orchestra.store.jobs import explain as store
from orchestra.store.nodes import queues
from support.people import as_admin, caller
from support.plans import plan
from support.server import Server
from support.world import Pilot, World


@pytest.fixture
def pilot(world: World) -> Pilot:
    return world.pilot(serve_all=True)


def lines(world: World, address: str) -> list[str]:
    found = explain.explain(world.conn, address).explanation
    return [found.headline, *map(command_words.worded, found.told)]


def test_a_job_that_waits_for_a_slot(world: World, pilot: Pilot) -> None:
    world.task(20, test_jobs=0)
    world.conduct(2)
    world.conn.execute("update leader set expires = now() + interval '1 min'")
    pilot.start(*pilot.claim(cpu=8))
    facts = explain.gather(world.conn, "0/15")
    (offer,) = facts.offers
    assert (offer.node, offer.enabled, offer.in_use, offer.online) == ("gauss", 8, 8, True)
    assert (facts.before, facts.many_before) == (7, False)
    (competitor,) = facts.competitors
    assert (competitor.task, competitor.owner, competitor.living, competitor.waiting) == (
        0,
        "ana",
        8,
        12,
    )
    assert facts.busy == (RunningJobs("gauss", 0, 8, 1),)
    assert facts.conductor
    assert lines(world, "0/15")[0] == "Job 15 of task 0 (user.ana.task) is waiting for a CPU slot."
    assert "7 jobs are ahead: 7 of its own task." in lines(world, "0/15")


def test_jobs_of_both_turns_and_unreleased_ones_are_counted(world: World) -> None:
    task = world.task(40, test_jobs=0)
    world.conn.execute(
        "update job set state = 'assigned', turn = case when ordinal = 19 then 0 else 1 end where ordinal < 20"
    )
    world.conn.execute("update job set turn = 0 where ordinal = 39")
    for index, state, turn, before in (
        (19, JobState.ASSIGNED, 0, 0),
        (0, JobState.ASSIGNED, 1, 1),
        (18, JobState.ASSIGNED, 1, 19),
        (39, JobState.REGISTERED, 0, 20),
        (20, JobState.REGISTERED, 1, 21),
        (38, JobState.REGISTERED, 1, 39),
    ):
        assert store.turn(world.conn, task, index).turn == turn
        assert store.before(world.conn, task, index, state, turn, limit=100) == before, index
    assert store.before(world.conn, task, 38, JobState.REGISTERED, 1, limit=5) == 10


def test_a_competitor_counts_jobs_that_start_without_a_condition(
    world: World, pilot: Pilot
) -> None:
    first = world.task(30, "user.ana.first", test_jobs=0, priority=1)
    second = world.task(30, "user.bob.second", owner="bob", test_jobs=4)
    third = world.task(30, "user.bob.third", owner="bob", test_jobs=0)
    world.task(30, "user.ana.gpu", queue="gpu")
    world.conduct(2)
    lifecycle.apply(world.conn, third, TaskInput.HOLD, by="bob", why="wrong data")
    grants = pilot.claim(cpu=5)
    pilot.start(*grants[:3])
    found = {r.task: r for r in explain.gather(world.conn, f"{second}/0").competitors}
    assert (found[first].living, found[first].waiting, found[first].priority) == (5, 25, 1)
    assert (found[second].living, found[second].waiting) == (0, 4)
    assert found[third].waiting == 0
    assert set(found) == {first, second, third}


def test_what_nodes_are_is_told(world: World, pilot: Pilot) -> None:
    world.pilot("euler", account="bob")
    world.pilot("noether")
    drains.drain(world.conn, as_admin(world.conn, "admin"), "euler", reason="new disk")
    world.conn.execute(
        "update pilot set seen_at = now() - interval '5 minutes' "
        "where node_id = (select id from node where name = 'noether')"
    )
    world.conn.execute(
        "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values ('new', 4, 4, 0, 0)"
    )
    world.task(20, test_jobs=0)
    world.conduct(2)
    told = lines(world, "0/3")
    assert any(
        line.startswith("Node euler was drained ") and line.endswith(' by admin: "new disk".')
        for line in told
    )
    assert "Node noether is offline: its pilot was last seen 5 min ago." in told
    assert "Node new has had no pilot yet: maestro pilot run -n new" in told
    assert any(
        line.startswith("28 CPU slots are enabled on 4 nodes: none in use, 8 free,")
        for line in told
    )


def test_a_node_that_keeps_its_slots_for_a_wide_job_is_named(world: World, pilot: Pilot) -> None:
    world.task(20, test_jobs=0)
    world.conduct(2)
    assert len(pilot.claim(cpu=6)) == 6
    world.task(1, name="user.ana.wide", test_jobs=0, cores=4, priority=1)
    world.conduct(2)
    world.reserve()
    assert pilot.claim(cpu=2) == ()
    keeps = (
        "Node gauss waits for the next job of {}, and starts others only if they do not delay it."
    )
    assert keeps.format("its task") in lines(world, "1/0")
    assert keeps.format("task 1") in lines(world, "0/10")
    assert not any("A slot is free" in line for line in lines(world, "1/0"))


def test_what_keeps_nodes_from_it_is_counted(world: World, pilot: Pilot) -> None:
    world.pilot("second", serve_all=True)
    world.conn.execute("update node set labels = '{\"rack\": \"3\"}' where name = 'gauss'")
    task = world.task(20, test_jobs=0)
    ana = caller(world.conn, "ana")
    assert settings.change(world.conn, ana, task, NewSettings(constraint="rack=3")).unserved is None
    world.conduct(2)
    world.conn.execute("update leader set expires = now() + interval '1 min'")
    said = "2 nodes: 1 has no rack=3, 1 fits and "
    assert f"{said}has room now." in lines(world, "0/15")
    pilot.start(*pilot.claim(cpu=8))
    assert f"{said}is busy." in lines(world, "0/15")
    world.conn.execute(
        "update pilot set opens_at = now() + interval '5 h' where node_id = %s", [pilot.node]
    )
    assert "2 nodes: 1 has no rack=3, 1 is closed for 5 h." in lines(world, "0/15")
    changed = settings.change(
        world.conn, ana, task, NewSettings(constraint="rack=4", exclusive=True)
    )
    assert changed.unserved == "no node can run such a job: 2 nodes have no rack=4"
    assert f"At present {changed.unserved}." in lines(world, "0/15")
    world.conn.execute("delete from pilot")
    world.conn.execute("update person set limit_cpus = 8 where name = 'ana'")
    assert (
        "ana has a limit of 8 CPU slots at a time, which is reached: maestro user list."
        in lines(world, "0/15")
    )


def test_a_job_behind_the_test(world: World, pilot: Pilot) -> None:
    world.task(30)
    world.conduct(2)
    grants = pilot.claim(cpu=5)
    pilot.start(*grants)
    pilot.end(*grants[:3])
    told = lines(world, "0/25")
    assert told[0].endswith("is waiting for the test of its task.")
    assert "The test: 3 of 10 done, 2 running, 5 waiting." in told
    assert "It is one of the 10 test jobs of its task." in lines(world, "0/7")


def test_a_job_that_is_held_or_backs_off(world: World, pilot: Pilot) -> None:
    task = world.task(5, test_jobs=0, retries=3)
    world.conduct(2)
    (grant,) = pilot.claim(cpu=1)
    pilot.start(grant)
    pilot.end(grant, status=3)
    found = explain.explain(world.conn, "0/0")
    assert found.facts.not_before is not None
    assert found.explanation.headline.endswith("is waiting to be retried.")
    assert any(line.startswith("It has failed once") for line in found.explanation.sentences)
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="bob", why="wrong data")
    assert 'It was held just now by bob: "wrong data".' in lines(world, "0/2")


def test_a_job_that_a_pilot_has(world: World, pilot: Pilot) -> None:
    world.task(5, test_jobs=0)
    world.conduct(2)
    _, running = pilot.claim(cpu=2)
    pilot.start(running)
    assert "was claimed by node gauss just now and has not started yet" in lines(world, "0/0")[0]
    assert "has been running on node gauss for" in lines(world, "0/1")[0]
    world.conn.execute(
        "update keeper set renewed_at = now() - interval '10 min', lease_until = now() + interval '2 h'"
    )
    facts = explain.gather(world.conn, "0/1")
    assert facts.keeper_lease is not None
    assert facts.keeper_lease.silent_for == pytest.approx(600, abs=5)
    assert facts.keeper_lease.lease_left == pytest.approx(7200, abs=5)
    world.conn.execute("update keeper set lease_until = 'infinity'")
    assert (keeper_lease := explain.gather(world.conn, "0/0").keeper_lease)
    assert keeper_lease.lease_left is None


def test_who_killed_a_job(world: World, pilot: Pilot) -> None:
    task = world.task(12, test_jobs=0)
    world.conduct(2)
    grants = pilot.claim(cpu=2)
    pilot.start(*grants)
    lifecycle.kill_jobs(world.conn, task, [0, 5], by="ana", why="too long")
    assert 'It is being ended, as requested just now by ana: "too long".' in lines(world, "0/0")
    pilot.end(grants[0], cause=Cause.ENDED)
    for address in ("0/0", "0/5"):
        asked = explain.gather(world.conn, address).asked
        assert asked is not None
        assert (asked.who, asked.why, asked.index is None) == ("ana", "too long", False)
    # Jobs that were killed before keep their reason when the whole task is killed.
    world.conn.execute("update event set at = at - interval '1 min'")
    world.conn.execute(
        "update job set changed_at = changed_at - interval '1 min' where state = 'killed'"
    )
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="bob", why="no use")
    assert (whole := explain.gather(world.conn, "0/7").asked)
    assert (whole.who, whole.index) == ("bob", None)
    assert "was killed just now by bob" in lines(world, "0/7")[0]
    assert "The whole task was killed." in lines(world, "0/7")
    assert (alone := explain.gather(world.conn, "0/5").asked)
    assert alone.who == "ana"
    assert (alive := explain.gather(world.conn, "0/1").asked)
    assert alive.who == "bob"


def test_which_test_job_broke_the_task(world: World, pilot: Pilot) -> None:
    task = world.task(30, test_jobs=3)
    world.conduct(2)
    grants = pilot.claim(cpu=3)
    pilot.start(*grants)
    pilot.end(grants[1], status=3)
    world.conn.execute("update attempt set log_tail = 'a\nno such file\n' where ordinal = 1")
    world.conduct(2)
    pilot.end(grants[0])
    pilot.end(grants[2], cause=Cause.ENDED)
    world.conduct(3)
    assert world.state(task) is TaskState.BROKEN
    assert lines(world, "0/20") == [
        "Job 20 of task 0 (user.ana.task) is broken: the test of its task failed.",
        'Test job 0/1 failed on gauss: exit status 3 ("no such file").',
        "Its log: maestro job logs 0/1",
        "It had not run yet.",
        "When that is fixed: maestro task retry 0",
    ]
    assert "it failed as a test job" in lines(world, "0/1")[0]


def test_a_job_that_ended_by_itself(world: World, pilot: Pilot) -> None:
    world.task(5, test_jobs=0)
    world.conduct(2)
    grants = pilot.claim(cpu=2)
    pilot.start(*grants)
    pilot.end(grants[0])
    pilot.end(grants[1], status=3)
    world.conn.execute("update attempt set log_tail = 'oh no\n\n' where ordinal = 1")
    assert lines(world, "0/0") == [
        "Job 0 of task 0 (user.ana.task) is done after 1.0 s on node gauss, just now.",
        "Its result: /data/ana/user.ana.task/job_configId_0",
    ]
    told = lines(world, "0/1")
    assert "failed just now on node gauss: exit status 3." in told[0]
    assert 'The last line of its log: "oh no"' in told


# Costs that do not grow with the number of jobs

JOBS = 100_000


@pytest.fixture(scope="module")
def crowded(database_server: Server) -> Iterator[World]:
    """A task of 100,000 jobs in all states, with an attempt and an event each, and 100 small tasks."""
    with (
        database_server.clone(f"crowded_{secrets.token_hex(6)}") as url,
        connect(url, statement_timeout=300) as conn,
    ):
        world = World(conn)
        pilot = world.pilot()
        task = world.task(JOBS, name="user.ana.large")
        for number in range(100):
            world.task(3, name=f"user.ana.small{number}")
        with conn.transaction():
            conn.execute("alter table job disable trigger job_changed")
            conn.execute(
                "update job set state = (case when ordinal < 20000 then 'broken' when ordinal < 20008 then 'running' "
                "when ordinal < 60000 then 'assigned' else 'registered' end)::job_state, attempt = 1, "
                "keeper_id = case when ordinal between 20000 and 20007 then %s::uuid end where task_id = %s",
                [pilot.keeper, task],
            )
            conn.execute("alter table job enable trigger job_changed")
            conn.execute(
                "insert into attempt (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, "
                "folder_number, started_at, ended_at, cause, exit_status, accepted) "
                "select %s, n, 1, gen_random_uuid(), %s, %s, 0, 1, false, 1, now(), "
                "case when n < 20000 then now() end, case when n < 20000 then 'exit' end, "
                "case when n < 20000 then 3 end, case when n < 20000 then true end from generate_series(0, 20007) n",
                [task, pilot.keeper, pilot.node],
            )
            conn.execute(
                "insert into event (kind, task_id, ordinal, to_state, who) "
                "select 'job', %s, n %% 30000, 'running', 'pilot gauss' from generate_series(0, 60000) n",
                [task],
            )
            conn.execute("update task set state = 'TESTING' where id = %s", [task])
            conn.execute("update task set state = 'RUNNING', rank = id + 1 where id = %s", [task])
        conn.execute("vacuum analyze")
        yield world


def _cases() -> dict[str, dict[str, object]]:
    job: dict[str, object] = {"task": 0, "index": 50_000}
    return {
        "turn": job,
        "competitors": {"queue": Queue.CPU},
        "offers": {"queue": Queue.CPU, "patience": 15},
        "at_work": {"queue": Queue.CPU},
        "in_use_of": {"owner": "ana"},
        "kill_request": {**job, "until": None},
        "failed_tests": {"task": 0, "limit": 3},
    }


@pytest.mark.parametrize("name", _cases())
def test_what_is_read_does_not_grow(crowded: World, name: str) -> None:
    params = _cases()[name]
    if "until" in params:
        params["until"] = crowded.conn.execute("select now() + interval '1 h'").fetchone()[0]  # type: ignore[index]
    statements = queues.SQL if name == "offers" else store.SQL
    found = plan(crowded.conn, getattr(statements, name), params)
    assert found.walked == set(), found.root
    assert found.buffers < 6_000, (found.buffers, found.root)


@pytest.mark.parametrize(
    ("index", "state", "limit", "expected", "most"),
    [
        (
            20_200,
            JobState.ASSIGNED,
            50_001,
            192,
            200,
        ),  # a page for each job, if PostgreSQL reads the rows, too
        (59_999, JobState.ASSIGNED, 50_001, 39_991, 1_000),
        (60_100, JobState.REGISTERED, 50_001, 40_092, 1_000),
        (99_999, JobState.REGISTERED, 50_001, 79_991, 2_000),
    ],
)
def test_jobs_ahead_are_counted_in_index_ranges(
    crowded: World, index: int, state: JobState, limit: int, expected: int, most: int
) -> None:
    params = store.before_params(0, index, state, 1, limit)
    found = plan(crowded.conn, store.SQL.before, params)
    assert found.walked == set(), found.root
    assert found.indexes <= {"job_claimable", "job_waiting"}, found.root
    assert found.buffers < most, (found.buffers, found.root)
    assert store.before(crowded.conn, 0, index, state, 1, limit=limit) == expected


def test_a_whole_explanation_of_a_job_among_many(crowded: World) -> None:
    found = explain.explain(crowded.conn, "0/99999")
    assert (
        "More than 50,000 jobs are ahead: over 50,000 of its own task."
        in found.explanation.sentences
    )
    assert found.explanation.starts_in is None


def test_all_is_read_from_one_snapshot(world: World, pilot: Pilot) -> None:
    world.task(2, test_jobs=0)
    facts = explain.explain(world.conn, "0/1").facts
    assert abs(facts.now - facts.task.created_at) < timedelta(minutes=1)
