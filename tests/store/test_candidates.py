"""The candidates of a claim: all of them are read, whatever they are, and a claim reports if it stops early."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import Claim
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause, Queue
from orchestra.pilot.claim_policy import Asked, ClaimPolicy
from orchestra.services import work
from orchestra.services.work import queue_claim
from orchestra.store.driver.database import connect
from support.ranked import ranked_tasks as tasks
from support.world import World

ROOM = Room(8)
CPU = Asked((Queue.CPU,), ROOM)


def emptied(world: World, ids: list[int]) -> None:
    """Their jobs wait for a retry; their ranks are unchanged."""
    world.conn.execute(
        "update job set not_before = now() + interval '1 h' where task_id = any(%s)", [ids]
    )


def taken(answer: Claim) -> list[int]:
    return [grant.key.task_id for grant in answer.grants]


def test_a_claim_goes_on_after_a_page_of_tasks(world: World) -> None:
    ids = tasks(world, 60)
    pilot = world.pilot()
    answer = pilot.claim_answer(cpu=32)
    assert taken(answer) == ids[:32]
    answer = pilot.claim_answer(cpu=32)
    assert (taken(answer), answer.more) == (ids[32:], {})


def test_tasks_without_jobs_to_hand_out_hide_none_that_has_one(world: World) -> None:
    emptied(world, tasks(world, 500, name="resting"))
    tasks(world, 100, name="foreign", account="bea")
    tasks(world, 100, name="huge", cores=99)
    made = tasks(world, 3)
    assert taken(world.pilot().claim_answer(cpu=8)) == made


def test_five_thousand_candidates_are_read_within_a_second(world: World) -> None:
    """Less than 1 s even under load; about 0.1 s on two processors."""
    resting = tasks(world, 5_000, name="resting", jobs=1)
    emptied(world, resting)
    world.conn.execute("analyze task, job")
    pilot = world.pilot()
    pilot.claim_answer(cpu=1)
    began = time.monotonic()
    answer = pilot.claim_answer(cpu=8)
    assert time.monotonic() - began < 1.0
    assert (answer.grants, answer.more) == ((), {}), "nothing more"
    (last,) = tasks(world, 1)
    assert taken(pilot.claim_answer(cpu=8)) == [last]


def test_a_claim_that_stops_before_the_end_says_where_to_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_claim, "TASKS_AT_MOST", 20)
    monkeypatch.setattr(queue_claim, "FURTHER_PAGE", 20)
    emptied(world, tasks(world, 90, name="resting"))
    made = tasks(world, 2)
    pilot, policy, answers = world.pilot(), ClaimPolicy(), list[Claim]()
    while not policy.exhausted:
        pilot.request += 1
        answers.append(
            work.claim(
                world.conn, pilot.agent, pilot.keeper, pilot.request, ROOM, after=policy.cursors
            )
        )
        policy.record_claim(CPU, [], answers[-1])
    assert [task for answer in answers for task in taken(answer)] == made
    assert [bool(answer.more) for answer in answers] == [True, True, False]


def test_a_claim_gives_up_on_tasks_that_others_empty_and_goes_on_behind_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_claim, "LOOKS_AT_MOST", 5)
    emptied(world, tasks(world, 12, name="resting"))
    (made,) = tasks(world, 1)
    pilot = world.pilot()
    places, after = [], None
    for _ in range(3):
        pilot.request += 1
        answer = work.claim(world.conn, pilot.agent, pilot.keeper, pilot.request, ROOM, after=after)
        after = answer.more
        places.append(taken(answer))
    assert places == [[], [], [made]]
    assert after == {}


def test_the_first_claim_of_a_queue_asks_for_no_more_than_it_wants(world: World) -> None:
    ids = tasks(world, 40)
    pilot = world.pilot()
    assert taken(pilot.claim_answer(cpu=1)) == ids[:1]
    again = replace(pilot, request=pilot.request - 1).claim_answer(cpu=1)
    assert (again.repeated, taken(again), again.more) == (True, ids[:1], {})


def test_a_job_that_was_passed_for_its_size_is_asked_for_when_there_are_slots(world: World) -> None:
    """Not only at the next poll, because the end of the node's own job notifies nobody."""
    (wide,) = tasks(world, 1, name="wide", cores=6, jobs=2)
    pilot = world.pilot()
    (first,) = pilot.claim(cpu=8)
    policy, asked = ClaimPolicy(), Asked((Queue.CPU,), Room(cpus=2))
    answer = pilot.claim_answer(cpu=2)
    policy.record_claim(asked, [], answer)
    assert (answer.held_back, policy.exhausted) == ({Queue.CPU: (Resources(6),)}, set())
    pilot.end(first)
    assert taken(pilot.claim_answer(cpu=8)) == [wide]


@pytest.mark.parametrize("cause", [Cause.RETURNED, Cause.LOST])
def test_requeued_jobs_notify_the_pilots_of_their_queue(
    world: World, database_url: str, cause: Cause
) -> None:
    tasks(world, 3)
    pilot = world.pilot()
    with connect(database_url) as listener:
        listener.execute("listen orchestra_cpu")
        one, two, three = pilot.claim(cpu=3)
        pilot.start(two)
        pilot.end(one)
        world.conn.execute("notify orchestra_cpu, 'so far'")
        pilot.end(two, three, cause=cause)
        heard = [n.payload for n in listener.notifies(timeout=5, stop_after=2)]
    assert heard == ["so far", ""]
