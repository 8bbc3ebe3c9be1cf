"""Whether jobs ran on the registered inputs: which checks count, and what is kept of later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestra.domain.models.work import AttemptKey, Grant, Outcome, Revision
from orchestra.domain.states import Cause, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.domain.troubles import Kind, Trouble, checksum
from orchestra.services import work
from orchestra.services.jobs import explain
from orchestra.services.jobs import views as jobs
from orchestra.services.tasks import lifecycle, results
from orchestra.services.tasks import views as task_views
from support.world import Pilot, World

NOTE = "inputs changed while it ran: /lab/data.h5 is missing"


def begun(world: World, task_jobs: int = 4) -> tuple[int, Pilot]:
    task = world.task(jobs=task_jobs, test_jobs=0)
    world.conduct(rounds=2)
    return task, world.pilot()


def only(grants: Sequence[Grant]) -> Grant:
    (grant,) = grants
    return grant


def end(world: World, pilot: Pilot, grant: Grant, **given: Any) -> None:
    outcome = Outcome(grant.key, Cause.EXIT, exit_status=0, seconds=1.0)
    work.report(world.conn, pilot.keeper, [replace(outcome, **given)])


def test_each_beginning_release_and_retry_lets_jobs_go_anew(world: World) -> None:
    task, pilot = begun(world)
    grants = [only(pilot.claim())]
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="to edit it")
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conduct()
    grants.append(only(pilot.claim()))
    end(world, pilot, grants[0], exit_status=1)
    lifecycle.retry_jobs(world.conn, task, [grants[0].key.index], by="ana")
    world.conduct()
    grants.append(only(pilot.claim()))
    for grant in (*grants[1:], *pilot.claim(cpu=4)):
        end(world, pilot, grant, exit_status=1)
    world.conduct(2)
    assert world.state(task) is TaskState.FINALIZED
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    world.conduct(2)
    grants.append(only(pilot.claim()))
    numbers = [grant.let_go for grant in grants]
    assert numbers == sorted(set(numbers))


def test_a_repeated_answer_says_when_the_job_was_let_go_last(world: World) -> None:
    task, pilot = begun(world)
    first = only(pilot.claim())
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="to edit it")
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    pilot.request -= 1
    again = only(pilot.claim())
    assert again.key == first.key
    assert again.let_go > first.let_go


def test_a_result_with_a_note_is_kept_and_marked_everywhere(world: World) -> None:
    task, pilot = begun(world, 2)
    marked, plain = pilot.claim(cpu=2)
    end(world, pilot, marked, inputs_note=NOTE)
    end(world, pilot, plain)
    world.conduct(2)
    assert world.state(task) is TaskState.DONE
    page = jobs.list_jobs(world.conn, str(task), None, first=0, limit=10)
    assert [job.inputs_note for job in page.jobs] == [NOTE, None]
    [attempt] = jobs.show(world.conn, f"{task}/0").attempts
    assert attempt.inputs_note == NOTE
    doubts = task_views.show(world.conn, str(task)).doubts
    assert (doubts.results, doubts.example, doubts.note) == (1, 0, NOTE)
    found = results.look_up(world.conn, str(task)).jobs
    assert [result.inputs_note for result in found] == [NOTE, None]
    assert (
        f"The result is in doubt: {NOTE}."
        in explain.explain(world.conn, f"{task}/0").explanation.sentences
    )
    payload = world.conn.execute("select payload from outbox").fetchone()
    assert payload
    assert (payload[0]["doubts"], payload[0]["doubt"]) == ("1", NOTE)


def test_a_result_that_was_computed_again_has_no_note(world: World) -> None:
    task, pilot = begun(world, 1)
    end(world, pilot, only(pilot.claim()), inputs_note=NOTE)
    world.conduct(2)
    lifecycle.apply(world.conn, task, TaskInput.RETRY_ALL, by="ana")
    world.conduct(3)
    end(world, pilot, only(pilot.claim()))
    assert not task_views.show(world.conn, str(task)).doubts


def test_what_an_adopted_attempt_reads_can_be_asked_for(world: World) -> None:
    task, pilot = begun(world)
    grant = only(pilot.claim())
    stranger = AttemptKey(task, 1, 1, grant.key.token)
    specs, configs = work.inputs(world.conn, [grant.key, stranger])
    first = Revision(task, 1)
    assert configs == {grant.key: (first, grant.config)}
    assert specs[first].id == task
    assert work.inputs(world.conn, [grant.key], known={first})[0] == {}


TOLD = {
    "about to start": "It is waiting for the volume /v, which does not answer on node gauss.",
    "running": "The volume /v does not answer on node gauss; the job may wait for it.",
    "to be ended": "Its end is waiting for the volume /v, which does not answer on node gauss.",
}


@pytest.mark.parametrize("case", TOLD)
def test_explain_and_show_name_the_volume_that_a_job_waits_for(world: World, case: str) -> None:
    sentence = TOLD[case]
    task, pilot = begun(world)
    world.conn.execute("update task set volume = '/v'")
    grant = only(pilot.claim())
    if case != "about to start":
        pilot.start(grant)
    if case == "to be ended":
        lifecycle.kill_jobs(world.conn, task, [0], by="ana")
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], silent=["/v"])
    assert sentence in explain.explain(world.conn, f"{task}/0").explanation.sentences
    assert jobs.show(world.conn, f"{task}/0").waits == (sentence,)
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], silent=["/elsewhere"])
    assert jobs.show(world.conn, f"{task}/0").waits == ()


def test_explain_says_that_a_checksum_is_being_taken(world: World) -> None:
    task, pilot = begun(world)
    pilot.claim()
    other = Trouble(Kind.OTHER, f"a; task {task} waits for nothing")
    work.renew(
        world.conn,
        pilot.node,
        pilot.agent,
        [pilot.keeper],
        troubles=[other, checksum(task, "/lab/big.h5"), checksum(task + 1, "/lab/small.h5")],
    )
    sentence = "It is waiting for the checksum of /lab/big.h5, whose time has changed."
    assert sentence in explain.explain(world.conn, f"{task}/0").explanation.sentences
    assert jobs.show(world.conn, f"{task}/0").waits == (sentence,)
