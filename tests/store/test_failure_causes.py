"""Reported causes are the true ones, and only failures count as failures."""

from __future__ import annotations

import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.services.jobs import actions as job_actions
from orchestra.services.jobs import explain, views
from orchestra.services.tasks import actions as task_actions
from orchestra.services.tasks import removal
from orchestra.store.tasks import facts, live_tasks
from orchestra.store.work import attempts
from support.people import caller
from support.world import World


@pytest.fixture
def ana(world: World) -> Caller:
    return caller(world.conn)


def why_broken(world: World, task: int) -> str:
    row = world.conn.execute(
        "select why from event where task_id = %s and to_state = 'BROKEN'", [task]
    ).fetchone()
    assert row
    return str(row[0])


def test_jobs_that_orchestra_ended_in_a_test_are_no_failures_and_no_users_kill(
    world: World, ana: Caller
) -> None:
    task, pilot = world.task(6, test_jobs=5), world.pilot()
    world.conduct()
    grants = pilot.claim(cpu=5)
    pilot.start(*grants)
    pilot.end(*grants[:2], status=3)
    job_actions.kill(world.conn, ana, [f"{task}/2"])
    world.conduct(2)
    test = live_tasks.test_facts(world.conn, task, None)
    assert (test.failed, test.killed, test.swept, test.living) == (2, 0, 0, 3)
    asked = {key.index: why for key, why in attempts.attempts_to_end(world.conn, pilot.node)}
    assert asked[2] == "it was killed on request"
    assert {asked[3], asked[4]} == {"another test job failed"}
    pilot.end(*grants[2:], cause=Cause.ENDED)
    test = live_tasks.test_facts(world.conn, task, None)
    assert (test.failed, test.killed, test.swept, test.living) == (5, 1, 2, 0)
    explained = explain.explain(world.conn, f"{task}/5").explanation
    assert (
        "The test: 0 of 5 done, 2 failed, 1 killed, 2 ended because of that." in explained.sentences
    )
    world.conduct(3)
    assert world.state(task) is TaskState.BROKEN
    assert why_broken(world, task) == "2 of 5 test jobs failed, 1 was killed"
    assert [(group.example.what, group.jobs) for group in facts.failures(world.conn, task)] == [
        ("exit status 3", 2)
    ]


@pytest.mark.parametrize("waiting", [True, False])
def test_a_test_that_a_user_ended_did_not_fail(world: World, ana: Caller, waiting: bool) -> None:
    task, pilot = world.task(3, test_jobs=2), world.pilot()
    world.conduct()
    grants = pilot.claim(cpu=1)
    job_actions.kill(world.conn, ana, [f"{task}/{int(waiting)}"])
    pilot.start(*grants)
    world.conduct(2)
    pilot.end(*grants, cause=Cause.ENDED)
    world.conduct(3)
    assert world.state(task) is TaskState.BROKEN
    assert why_broken(world, task) == "1 of 2 test jobs was killed"


@pytest.mark.parametrize("cause", [Cause.RETURNED, Cause.LEASE, Cause.UNHEARD, Cause.LOST])
def test_jobs_returned_in_a_test_that_broke_are_no_failures(world: World, cause: Cause) -> None:
    task, pilot = world.task(3, test_jobs=3), world.pilot()
    world.conduct()
    grants = pilot.claim(cpu=3)
    pilot.start(*(grants[:2] if cause in (Cause.RETURNED, Cause.UNHEARD) else grants))
    pilot.end(grants[2], cause=cause)
    pilot.end(*grants[:2], status=3)
    world.conduct(4)
    assert world.jobs(task) == [JobState.BROKEN] * 3
    assert [(group.example.what, group.jobs) for group in facts.failures(world.conn, task)] == [
        ("exit status 3", 2)
    ]
    said = explain.explain(world.conn, f"{task}/2").explanation
    assert [words for words in said.sentences if f"{task}/2 failed" in words] == []
    assert "it failed as a test job" not in said.headline


def test_failures_of_a_run_before_are_not_those_of_this_one(world: World, ana: Caller) -> None:
    task = world.task(3, test_jobs=3)
    world.run_all(failing={1, 2})
    task_actions.retry(world.conn, ana, task)
    pilot = world.pilot(is_root=True)
    world.conduct()
    (first,) = pilot.claim(cpu=1)
    pilot.start(first)
    pilot.end(first, status=4)
    world.conduct(4)
    assert world.state(task) is TaskState.BROKEN
    assert [(group.example.what, group.jobs) for group in facts.failures(world.conn, task)] == [
        ("exit status 4", 1)
    ]


def test_attempts_that_were_handed_back_are_not_counted_as_tries(world: World) -> None:
    task, pilot = world.task(1, test_jobs=0), world.pilot()
    world.conduct()
    for cause in (Cause.RETURNED, Cause.INPUT):
        pilot.end(*pilot.claim(), cause=cause)
        world.conn.execute("update task set held_at = null, held_by = null, held_reason = null")
    grants = pilot.claim()
    pilot.start(*grants)
    pilot.end(*grants)
    job = views.show(world.conn, f"{task}/0").job
    assert (job.attempts, job.handed_back, job.done_attempt) == (3, 2, 3)


@pytest.mark.parametrize("reported", [True, False])
def test_folders_of_lost_attempts_are_freed_once_there_is_a_later_one(
    world: World, ana: Caller, reported: bool
) -> None:
    task, pilot = world.task(1, test_jobs=0, folder="/nowhere"), world.pilot()
    world.conduct()
    grants = pilot.claim()
    pilot.start(*grants)

    def superseded() -> list[tuple[int, int]]:
        return sorted(removal.look_at_superseded(world.conn, ana, task).folders)

    assert superseded() == []
    if reported:
        pilot.end(*grants, cause=Cause.LOST)
    else:
        world.age(1e6)
        world.guard()
    assert superseded() == []
    again = world.pilot("curie")
    later = again.claim()
    assert [grant.key.number for grant in later] == [2]
    assert superseded() == [(0, 1)]
