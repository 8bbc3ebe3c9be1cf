"""When a job is requeued: its node is certainly dead, or has been silent for long enough without a gap."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from orchestra import command_words
from orchestra.domain.errors import KeeperFenced, Refused, Superseded
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.tasks import Counts
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services import work
from orchestra.services.nodes import fencing, nodes
from orchestra.services.tasks import lifecycle
from orchestra.store.cluster import leader
from orchestra.store.work import attempts, pilots
from support.people import as_admin
from support.world import Pilot, World

LEASE = work.LEASE_SECONDS
OVER = LEASE + 30 + 121
"""Lease, the usual grace, the margin and a second."""


def fence_reason(world: World, pilot: Pilot) -> str | None:
    row = world.conn.execute(
        "select fence_reason from keeper where id = %s", [pilot.keeper]
    ).fetchone()
    assert row
    return str(row[0]) if row[0] else None


def events(world: World, kind: str) -> list[tuple[Any, ...]]:
    return world.conn.execute(
        "select from_state, to_state, who, why from event where kind = %s order by id", [kind]
    ).fetchall()


# Time


def test_a_silent_node_keeps_its_jobs_until_lease_grace_and_margin_are_over(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    started, silent = pilot.claim(cpu=2)
    pilot.start(started)
    world.age(OVER - 2)
    world.guard()
    assert fence_reason(world, pilot) is None
    world.age(2)
    world.guard()
    assert fence_reason(world, pilot) == "its node was not heard from for 12 h 3 min"
    assert world.counts(running) == Counts(assigned=5) == world.true_counts(running)
    assert world.attempt(started)["lost_at"]
    assert world.attempt(silent)["lost_at"]
    losses = world.conn.execute("select losses from job order by ordinal limit 2").fetchall()
    assert losses == [(1,), (0,)], "one that was never heard of is no sign that its job ends nodes"
    assert events(world, "keeper") == [
        ("TRUSTED", "FENCED", "orchestra", "its node was not heard from for 12 h 3 min")
    ]
    (job_event,) = [e for e in events(world, "job") if e[0] == "running"]
    assert job_event[1:3] == ("assigned", "orchestra")


def test_the_longest_grace_of_its_attempts_counts(world: World) -> None:
    world.task(jobs=1, test_jobs=0, grace=5)
    world.task(jobs=1, test_jobs=0, grace=3600, name="user.ana.slow")
    world.conduct(rounds=2)
    pilot = world.pilot()
    assert len(pilot.claim(cpu=2)) == 2
    world.age(OVER)
    world.guard()
    assert fence_reason(world, pilot) is None
    world.age(3600)
    world.guard()
    assert fence_reason(world, pilot)


def test_a_gap_between_conductors_restarts_the_wait(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.claim()
    world.age(OVER * 3, gap=True)
    world.guard()
    assert fence_reason(world, pilot) is None
    world.age(OVER)
    world.guard()
    assert fence_reason(world, pilot)


def test_who_renews_or_holds_nothing_or_keeps_its_jobs_is_not_given_up(
    world: World, running: int
) -> None:
    renewing, idle, keeping = (world.pilot(name) for name in ("renewing", "idle", "keeping"))
    renewing.claim()
    keeping.claim()
    work.renew(world.conn, keeping.node, keeping.agent, [keeping.keeper], expires=False)
    world.age(OVER)
    work.renew(world.conn, renewing.node, renewing.agent, [renewing.keeper])
    world.guard()
    assert [fence_reason(world, p) for p in (renewing, idle, keeping)] == [None] * 3


def test_a_keeper_that_renews_before_it_is_fenced_stays_trusted(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.claim()
    world.age(OVER)
    (silent,) = pilots.silent_keepers(world.conn)
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper])
    assert not fencing.fence(
        world.conn, pilot.keeper, "late", who="orchestra", renewed_at=silent.renewed_at
    )


def test_the_duty_is_held_across_a_hand_over_and_not_across_a_gap(world: World) -> None:
    def held() -> Any:
        return world._one("select held_since from leader")

    assert leader.acquire(world.conn, "a", "a", 4, preferred=False)
    first = held()
    world.conn.execute("update leader set expires = now() - interval '9 s'")
    assert leader.acquire(world.conn, "b", "b", 4, preferred=False)
    assert held() == first
    assert leader.acquire(world.conn, "c", "c", 4, preferred=True)
    assert held() == first
    world.conn.execute("update leader set expires = now() - interval '11 s'")
    assert leader.acquire(world.conn, "d", "d", 4, preferred=False)
    assert held() > first


def test_a_conductor_of_the_version_before_is_replaced_and_does_not_come_back(
    world: World,
) -> None:
    acquired_before = (
        "update leader set term = term + 1, holder = 'old', preferred = true, expires = now() + interval '4 s' "
        "where expires < now() or not preferred"
    )
    assert world.conn.execute(acquired_before).rowcount == 1
    term = leader.acquire(world.conn, "a", "a", 4, preferred=False)
    assert term
    assert world.conn.execute(acquired_before).rowcount == 0
    assert leader.acquire(world.conn, "b", "b", 4, preferred=True) is None
    term.check(world.conn)


def test_a_clock_that_was_set_back_blocks_no_pilot(world: World) -> None:
    world.conn.execute(
        "update leader set expires = now() + interval '1 h', held_since = now() - interval '1 d'"
    )
    assert leader.acquire(world.conn, "a", "a", 4, preferred=False)
    assert world._one("select held_since > now() - interval '1 min' from leader")


# What other parties report


def test_a_reboot_fences_only_the_keepers_of_the_earlier_boot(world: World, running: int) -> None:
    old, other = world.pilot(), world.pilot("other")
    (grant,) = old.claim()
    old.start(grant)
    new = world.pilot(boot_id="boot-2")
    assert fence_reason(world, old) == "its node was restarted"
    assert fence_reason(world, other) is fence_reason(world, new) is None
    with pytest.raises(KeeperFenced):
        work.register_keeper(world.conn, old.node, KeeperHello(old.keeper, "m", "b", 1, "0", 1))
    world.guard()
    assert world.attempt(grant)["lost_at"] is None, "its own agent comes first"
    world.conn.execute("update keeper set fenced_at = fenced_at - interval '11 s'")
    world.guard()
    assert world.attempt(grant)["lost_at"]
    assert world.counts(running) == Counts(assigned=5)


def test_an_outcome_that_outlived_a_reboot_in_the_spool_comes_first(
    world: World, running: int
) -> None:
    old = world.pilot()
    ended, alive, unstarted = old.claim(cpu=3)
    old.start(ended, alive)
    new = world.pilot(boot_id="boot-2")
    old.end(ended)
    assert work.close_out(world.conn, new.agent, old.keeper, "its keeper has died") == 2
    assert world.counts(running) == Counts(assigned=4, done=1) == world.true_counts(running)
    assert world.attempt(alive)["lost_at"]
    assert world.attempt(unstarted)["cause"] == "returned"
    assert work.close_out(world.conn, new.agent, old.keeper, "again") == 0


def test_only_the_agent_that_decides_may_close_out(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.claim()
    with pytest.raises(Superseded):
        work.close_out(world.conn, uuid4(), pilot.keeper, "a lie")
    assert work.close_out(world.conn, pilot.agent, uuid4(), "never heard of") == 0
    assert work.close_out(world.conn, pilot.agent, pilot.keeper, "its keeper has died") == 1
    with pytest.raises(KeeperFenced):
        pilot.claim()


def test_machines_copied_from_one_image_do_not_fence_each_other(world: World, running: int) -> None:
    one = world.pilot(machine_id="same", host="one")
    one.claim()
    with pytest.raises(Refused, match="served by a pilot on one"):
        work.attach(world.conn, world.hello(machine_id="same", boot_id="boot-2", host="two"))
    assert fence_reason(world, one) is None


def test_another_machine_waits_until_the_old_one_is_given_up(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.start(grant)
    world.conn.execute("update pilot set seen_at = now() - interval '2 minutes'")
    hello = world.hello(machine_id="another", host="another")
    with pytest.raises(Refused, match="has 1 job on gauss, which was last seen") as error:
        work.attach(world.conn, hello)
    assert (
        command_words.hint_of(error.value) == "If that machine is gone: maestro node lost -n gauss"
    )
    assert nodes.lose(world.conn, as_admin(world.conn), "gauss") == 1
    work.attach(world.conn, hello)


# An admin


def test_the_jobs_of_a_lost_node_are_requeued_and_its_pilot_is_notified(
    world: World, running: int
) -> None:
    pilot, other = world.pilot(), world.pilot("other")
    grants = pilot.claim(cpu=3)
    pilot.start(*grants[:2])
    with pytest.raises(Refused, match="is online"):
        nodes.lose(world.conn, as_admin(world.conn), "gauss")
    assert nodes.lose(world.conn, as_admin(world.conn), "gauss", why="it burns", force=True) == 3
    assert nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True) == 0
    assert fence_reason(world, pilot) == "its node was declared lost by ana: it burns"
    standing = work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper])
    assert standing.fenced == {pilot.keeper}
    held = {grant.key: 1 for grant in grants}
    found = work.reconcile(world.conn, pilot.keeper, pilot.request, set(held), held)
    assert found.end == tuple(sorted(held))
    assert (found.adopted, found.unknown) == ((), ())
    assert len(other.claim(cpu=9)) == 5
    assert world._one("select lost_at is not null from node where name = 'gauss'")
    world.pilot()
    assert world._one("select lost_at is null from node where name = 'gauss'")


def test_jobs_ended_because_their_node_was_given_up_are_no_failures(
    world: World, running: int
) -> None:
    """The node is alive: it ends its jobs when it is notified, perhaps before they are claimed again."""
    pilot = world.pilot()
    ended, failed, done = pilot.claim(cpu=3)
    pilot.start(ended, failed, done)
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    pilot.end(ended, cause=Cause.ENDED)
    pilot.end(failed, status=7)
    pilot.end(done)
    states = world.jobs(running)
    assert states[:3] == [JobState.ASSIGNED, JobState.FAILED, JobState.DONE]
    record = world.attempt(ended)
    assert (record["cause"], record["accepted"]) == ("ended", False)


# Late outcomes


def lose_all(world: World, pilot: Pilot) -> None:
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    keeper = KeeperHello(uuid4(), "machine-gauss", "boot-1", 1, "0", work.PROTOCOL)
    work.register_keeper(world.conn, pilot.node, keeper)
    pilot.keeper = keeper.id


def test_a_late_success_makes_a_poisonous_job_of_a_finalized_task_done(world: World) -> None:
    task = world.task(jobs=1, test_jobs=0)
    world.conduct(rounds=2)
    lost = []
    for name in ("a", "b", "a", "c", "gauss"):
        pilot = world.pilot(name)
        (grant,) = pilot.claim()
        pilot.start(grant)
        lost.append((pilot, grant))
        nodes.lose(world.conn, as_admin(world.conn), name, force=True)
    world.conduct()
    assert (world.state(task), world.jobs(task)) == (TaskState.FINALIZED, [JobState.FAILED])
    why = "poisonous: lost 5 times in a row, on a, b, c and gauss; it may be killing them"
    assert events(world, "job")[-1] == ("running", "failed", "ana", why)
    assert world.attempt(lost[-1][1])["reason"] == why
    last = lost[-1][1]
    lost[0][0].end(lost[0][1])
    assert world.jobs(task) == [JobState.FAILED], "only the latest attempt counts"
    lost[-1][0].end(last)
    assert world.jobs(task) == [JobState.DONE]
    assert world.column(task, "state") == "FINALIZED"
    assert world.counts(task) == Counts(done=1) == world.true_counts(task)
    assert world.attempt(last)["accepted"]
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    world.conduct()
    assert world.state(task) is TaskState.DONE


@pytest.mark.parametrize("status", [0, 3])
def test_late_outcomes_of_a_killed_task(world: World, running: int, status: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.start(grant)
    lifecycle.apply(world.conn, running, TaskInput.KILL, by="bob")
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    world.conduct(rounds=2)
    assert (world.state(running), world.counts(running)) == (TaskState.KILLED, Counts(killed=5))
    pilot.end(grant, status=status)
    done = Counts(killed=4, done=1) if status == 0 else Counts(killed=5)
    assert world.counts(running) == done == world.true_counts(running)
    assert world.state(running) is TaskState.KILLED
    assert world.attempt(grant)["exit_status"] == status


@pytest.mark.parametrize("status", [0, 3])
def test_late_outcomes_of_a_broken_task(world: World, status: int) -> None:
    task = world.task(jobs=5, test_jobs=2)
    world.conduct()
    pilot = world.pilot()
    bad, late = pilot.claim(cpu=2)
    pilot.start(bad, late)
    lose_all(world, pilot)
    (again,) = pilot.claim(cpu=1)
    assert again.key.index == bad.key.index
    pilot.end(again, status=1)
    world.conduct(rounds=3)
    assert (world.state(task), world.counts(task)) == (TaskState.BROKEN, Counts(broken=5))
    pilot.end(late, status=status)
    done = Counts(broken=4, done=1) if status == 0 else Counts(broken=5)
    assert world.counts(task) == done == world.true_counts(task)
    assert world.state(task) is TaskState.BROKEN


# Back-off


def test_a_failed_job_is_retried_after_a_delay_and_its_queue_is_notified(world: World) -> None:
    task = world.task(jobs=1, test_jobs=0, retries=9, queue="gpu")
    world.conduct(rounds=2)
    pilot = world.pilot()
    for failures in range(1, 4):
        (grant,) = pilot.claim(gpu=1)
        pilot.start(grant)
        pilot.end(grant, status=1)
        wait = world._one("select extract(epoch from not_before - now())::float8 from job")
        assert 2**failures / 2 - 0.5 <= wait <= 2**failures
        assert world.counts(task) == Counts(assigned=1)
        world.conduct()
        assert pilot.claim(gpu=1) == ()
        world.conn.execute("update job set not_before = now()")
        assert attempts.end_back_off(world.conn, 10) == {Queue.GPU}
        assert attempts.end_back_off(world.conn, 10) == set()


def test_a_kill_includes_jobs_that_wait_for_a_retry(world: World) -> None:
    task = world.task(jobs=2, test_jobs=0, retries=1)
    world.conduct(rounds=2)
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=2), status=1)
    lifecycle.kill_jobs(world.conn, task, [0], by="ana")
    lifecycle.apply(world.conn, task, TaskInput.KILL, by="ana")
    world.conduct()
    assert (world.state(task), world.counts(task)) == (TaskState.KILLED, Counts(killed=2))


def test_a_loss_is_repeated_at_once(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.start(grant)
    pilot.end(grant, cause=Cause.LOST)
    assert pilot.claim()[0].key.index == grant.key.index
