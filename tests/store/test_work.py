"""The services for pilots: what is granted, what is fenced, what may be repeated."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4
from weakref import WeakValueDictionary

import pytest

from orchestra.domain.errors import KeeperFenced, NotFound, Refused, SchemaMismatch, Superseded
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.tasks import Counts, Resources
from orchestra.domain.models.work import Outcome, Revision, SharedFiles, Started, TaskSpec
from orchestra.domain.resources import DeviceRoom, Room
from orchestra.domain.states import Cause, JobState, Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.pilot.claim import Claimer
from orchestra.pilot.claim_policy import Asked, ClaimPolicy, to_claim
from orchestra.pilot.state import PilotState
from orchestra.services import work
from orchestra.services.jobs import views
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from orchestra.store.driver.database import connect
from orchestra.store.work import task_specs
from support.people import as_admin
from support.world import Pilot, World


def test_a_claim_takes_jobs_in_order_and_says_all_that_a_pilot_needs(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    answer = pilot.claim_answer(cpu=2, gpu=2)
    assert [grant.key.index for grant in answer.grants] == [0, 1]
    spec = answer.tasks[Revision(running, 1)]
    assert (spec.command, spec.queue, dict(spec.inputs)) == (
        "run -d %DATA -c %IN -o %OUT",
        Queue.CPU,
        {"DATA": "/data/digits.npz"},
    )
    assert [file.path for file in spec.shared_files] == ["/data/digits.npz"]
    grant = answer.grants[0]
    assert grant.config.path == "/data/configs/config.0.json"
    assert (grant.key.number, grant.folder_number, grant.done_attempt) == (1, 1, None)
    assert len(pilot.claim(cpu=9)) == 3
    assert pilot.claim(cpu=9) == ()


def test_tasks_that_read_the_same_large_data_set_share_its_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_specs, "FILES_AT_ONCE", 2)
    first, second = world.task(1, test_jobs=0), world.task(1, "user.ana.second", test_jobs=0)
    large = world.dataset_version(5, "/data/images")
    world.conn.execute("update task_input set version_id = %s", [large])
    world.conduct(rounds=2)
    pilot, versions = world.pilot(), WeakValueDictionary[int, SharedFiles]()
    specs: dict[Revision, TaskSpec] = {}
    for request in (1, 2):
        specs |= work.claim(
            world.conn, pilot.agent, pilot.keeper, request, Room(1), specs, versions=versions
        ).tasks
    paths = [f"/data/images/config.{n}.json" for n in range(5)]
    assert [file.path for file in specs[Revision(first, 1)].shared_files] == paths
    assert specs[Revision(first, 1)].shared[0] is specs[Revision(second, 1)].shared[0]
    specs.clear()
    assert not versions


def test_a_plan_made_for_a_small_table_is_good_for_a_large_one(
    world: World, running: int, database_url: str
) -> None:
    """It is made once, and kept for the pilot's lifetime."""

    def walked() -> int:
        for each in (conn, world.conn):
            each.execute("select pg_stat_force_next_flush()")
            each.execute("select")
        row = world.conn.execute(
            "select sum(seq_scan) from pg_stat_user_tables where relname in ('job', 'attempt', 'dataset_file', 'event')"
        ).fetchone()
        assert row
        return int(row[0])

    with connect(database_url, repeats=True) as conn:
        pilot = world.pilot(conn=conn)
        before = walked()
        grants = pilot.claim(cpu=3)
        pilot.start(*grants)
        pilot.end(*grants)
        assert pilot.claim(cpu=1)
        assert walked() == before


def test_an_attempt_keeps_the_hash_of_its_config(world: World, running: int) -> None:
    *_, grant = world.pilot().claim(cpu=3)
    assert world.attempt(grant)["config_sha256"] == grant.config.entry.sha256
    [attempt] = views.show(world.conn, f"{running}/2").attempts
    assert attempt.config_sha256 == hashlib.sha256(b"2").digest()


def test_a_repeated_claim_gets_the_same_answer(world: World, running: int) -> None:
    pilot = world.pilot()
    first = pilot.claim_answer(cpu=2)
    pilot.request -= 1
    again = pilot.claim_answer(cpu=2)
    assert again == first
    assert world.counts(running).assigned == 5
    pilot.end(first.grants[0])
    pilot.request -= 1
    assert pilot.claim(cpu=2) == first.grants[1:]


def test_a_request_below_those_of_another_agent_is_refused(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.request = 100
    answer = pilot.claim_answer()
    assert (len(answer.grants), answer.latest) == (1, 101)
    pilot.request = 50
    answer = pilot.claim_answer()
    assert (answer.grants, answer.latest) == ((), 101)
    pilot.request = answer.latest
    assert len(pilot.claim()) == 1


def test_the_specs_of_known_tasks_are_not_repeated(world: World, running: int) -> None:
    pilot = world.pilot()
    answer = work.claim(
        world.conn, pilot.agent, pilot.keeper, 1, Room(1), known=[Revision(running, 1)]
    )
    assert (len(answer.grants), dict(answer.tasks)) == (1, {})


def test_two_pilots_never_share_a_job(world: World, running: int) -> None:
    one, two = world.pilot("one"), world.pilot("two")
    taken = [grant.key.index for pilot in (one, two, one, two) for grant in pilot.claim(cpu=2)]
    assert sorted(taken) == [0, 1, 2, 3, 4]


def test_a_job_lives_and_ends(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    assert pilot.start(grant) == ()
    assert pilot.start(grant) == ()
    assert world.counts(running) == Counts(assigned=4, running=1)
    pilot.end(grant)
    assert world.counts(running) == Counts(assigned=4, done=1)
    attempt = world.attempt(grant)
    assert (attempt["cause"], attempt["exit_status"], attempt["accepted"]) == ("exit", 0, True)
    assert attempt["started_at"] < attempt["ended_at"]
    events = world.conn.execute(
        "select from_state, to_state, who from event where ordinal = 0 order by id"
    )
    assert events.fetchall() == [
        ("assigned", "running", "pilot gauss"),
        ("running", "done", "pilot gauss"),
    ]


def test_an_outcome_may_come_before_its_start_and_again(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.end(grant)
    pilot.end(grant, status=7)
    assert world.attempt(grant)["exit_status"] == 0
    assert pilot.start(grant) == ()
    assert world.counts(running) == Counts(assigned=4, done=1) == world.true_counts(running)


def test_a_failure_is_repeated_first_in_line_while_retries_are_left(world: World) -> None:
    task = world.task(jobs=3, test_jobs=0, retries=1)
    world.conduct(rounds=2)
    pilot = world.pilot()
    one, _ = pilot.claim(cpu=2)
    pilot.end(one, status=3)
    assert [grant.key.index for grant in pilot.claim()] == [2]
    world.conduct()
    assert pilot.claim() == ()
    world.wait_out_back_off()
    (again,) = pilot.claim()
    assert (again.key.index, again.key.number) == (0, 2)
    pilot.end(again, status=3)
    assert world.jobs(task)[0] is JobState.FAILED


def test_a_wrong_token_changes_nothing(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    forged = replace(grant, key=replace(grant.key, token=uuid4()))
    assert pilot.start(forged) == ()
    pilot.end(forged)
    assert world.counts(running) == Counts(assigned=5)
    assert world.attempt(grant)["ended_at"] is None


def test_an_outcome_of_a_lost_attempt_counts_until_the_next_one_is_claimed(
    world: World, running: int
) -> None:
    pilot, other = world.pilot(), world.pilot("other")
    late, too_late = pilot.claim(cpu=2)
    pilot.start(late, too_late)
    pilot.end(late, too_late, cause=Cause.LOST)
    assert world.counts(running) == Counts(assigned=5)
    assert world.attempt(late)["ended_at"] is None
    pilot.end(late)
    assert world.jobs(running)[late.key.index] is JobState.DONE

    successor = next(g for g in other.claim(cpu=9) if g.key.index == too_late.key.index)
    assert successor.key.number == 2
    pilot.end(too_late)
    assert world.jobs(running)[too_late.key.index] is JobState.ASSIGNED
    record = world.attempt(too_late)
    assert (record["cause"], record["accepted"]) == ("exit", False)
    assert pilot.start(too_late) == ()
    other.end(successor, status=4)
    assert world.jobs(running)[too_late.key.index] is JobState.FAILED


def test_the_fifth_loss_in_a_row_is_poisonous_and_costs_no_retry(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    for number in range(1, 6):
        (grant,) = pilot.claim()
        assert (grant.key.index, grant.key.number) == (0, number)
        pilot.start(grant)
        pilot.end(grant, cause=Cause.LOST)
    assert world.jobs(running)[0] is JobState.FAILED


def test_a_fenced_keeper_claims_nothing_and_its_outcomes_still_count(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    world.conn.execute("update keeper set fenced_at = now(), fence_reason = 'test'")
    with pytest.raises(KeeperFenced):
        pilot.claim()
    hello = KeeperHello(pilot.keeper, "m", "b", 1, "0", 1)
    with pytest.raises(KeeperFenced):
        work.register_keeper(world.conn, pilot.node, hello)
    pilot.end(grant)
    assert world.jobs(running)[0] is JobState.DONE


def test_a_second_agent_on_the_machine_takes_over_and_another_machine_is_refused(
    world: World, running: int
) -> None:
    first = world.pilot()
    second = world.pilot()
    with pytest.raises(Superseded):
        first.claim()
    assert work.renew(world.conn, first.node, first.agent, [first.keeper]).superseded
    assert not work.renew(world.conn, second.node, second.agent, [second.keeper]).superseded
    with pytest.raises(Refused, match="served by a pilot on gauss"):
        work.attach(world.conn, world.hello(machine_id="another"))
    world.conn.execute("update pilot set seen_at = now() - interval '2 minutes'")
    work.attach(world.conn, world.hello(machine_id="another"))


def test_another_account_on_the_machine_takes_over_only_from_one_that_has_gone(
    world: World,
) -> None:
    first = world.pilot(account="ana")
    with pytest.raises(Refused, match="is served by a pilot of ana on this machine"):
        work.attach(world.conn, world.hello(account="bob"))
    assert not work.renew(world.conn, first.node, first.agent, []).superseded
    work.detach(world.conn, first.node, first.agent, [first.keeper])
    work.attach(world.conn, world.hello(account="bob"))
    assert work.renew(world.conn, first.node, first.agent, []).superseded
    work.detach(world.conn, first.node, first.agent, [first.keeper])
    assert nodes.get(world.conn, "gauss").online, (
        "an agent that no longer decides signs off only itself"
    )


def test_an_unknown_node_and_an_old_protocol_are_refused(world: World) -> None:
    with pytest.raises(NotFound, match="no node"):
        work.attach(world.conn, world.hello("nowhere"))
    world.pilot()
    with pytest.raises(SchemaMismatch):
        work.attach(world.conn, world.hello(protocol=0))


@pytest.mark.parametrize(
    ("columns", "hello", "gets"),
    [
        ({}, {}, 1),
        ({"account": "bob"}, {}, 0),
        ({"account": "bob"}, {"serve_all": True}, 1),
        ({"account": "bob"}, {"is_root": True}, 1),
        ({"image": "docker://busybox"}, {}, 0),
        ({"image": "docker://busybox"}, {"runtimes": ("apptainer",)}, 1),
        ({"queue": "gpu"}, {}, 0),
    ],
)
def test_which_tasks_a_pilot_serves(
    world: World, columns: dict[str, str], hello: dict[str, Any], gets: int
) -> None:
    world.task(jobs=1, test_jobs=0, **columns)
    world.conduct(rounds=2)
    assert len(world.pilot(**hello).claim(cpu=5)) == gets


def test_held_drained_and_leaving_get_nothing(world: World, running: int) -> None:
    pilot = world.pilot()
    lifecycle.apply(world.conn, running, TaskInput.HOLD, by="ana", why="wait")
    assert pilot.claim() == ()
    lifecycle.apply(world.conn, running, TaskInput.RELEASE, by="ana")
    world.conduct()
    world.conn.execute("update node set drained_at = now(), drained_by = 'ana'")
    assert pilot.claim() == ()
    assert work.renew(world.conn, pilot.node, pilot.agent, []).enabled == {
        Queue.CPU: 0,
        Queue.GPU: 0,
    }
    world.conn.execute("update node set drained_at = null, drained_by = null")
    assert len(pilot.claim()) == 1
    world.conn.execute("update pilot set leave = true")
    assert pilot.claim() == ()
    assert work.renew(world.conn, pilot.node, pilot.agent, []).leave


@pytest.mark.parametrize("who", ["the same agent", "a successor", "a new pilot"])
def test_a_request_to_leave_holds_for_a_successor_but_not_for_a_new_pilot(
    world: World, who: str
) -> None:
    first = world.hello()
    node = world.pilot(agent=first.agent).node
    assert nodes.stop(world.conn, as_admin(world.conn), "gauss", now=True)
    agent = first.agent if who == "the same agent" else uuid4()
    again = world.hello(agent=agent, successor=who == "a successor")
    work.attach(world.conn, again)
    standing = work.renew(world.conn, node, agent, [])
    assert (standing.leave, standing.leave_now) == (who != "a new pilot",) * 2


def test_a_renewal_tells_how_nice_jobs_are(world: World) -> None:
    pilot = world.pilot()
    assert work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper]).nice == 0
    world.conn.execute("update node set nice = 7")
    assert work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper]).nice == 7


def test_a_renewal_tells_what_is_to_end_and_a_killed_job_is_killed(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    one, two = pilot.claim(cpu=2)
    pilot.start(one)
    lifecycle.kill_jobs(world.conn, running, [0, 1, 2], by="ana")
    assert world.jobs(running)[2] is JobState.KILLED
    assert (
        world.counts(running) == Counts(assigned=2, kill=2, killed=1) == world.true_counts(running)
    )
    standing = work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper])
    assert dict(standing.end) == {
        one.key: "it was killed on request",
        two.key: "it was killed on request",
    }
    pilot.end(one, cause=Cause.ENDED)
    pilot.end(two, cause=Cause.RETURNED)
    assert world.counts(running) == Counts(assigned=2, killed=3)
    assert work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper]).end == ()


def test_a_changed_input_holds_the_task_in_words(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    work.report(
        world.conn, pilot.keeper, [Outcome(grant.key, Cause.INPUT, reason="a\0.json has changed")]
    )
    assert world.column(running, "held_reason") == "a\0.json has changed".replace("\0", "\\0")
    assert world.counts(running) == Counts(assigned=5)
    assert pilot.claim() == ()


def test_reconciliation_gives_back_what_is_not_held_and_ends_what_is_not_granted(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    kept, started, unstarted = pilot.claim(cpu=3)
    pilot.start(kept, started)
    stranger = replace(kept.key, index=4)
    answer = work.reconcile(world.conn, pilot.keeper, pilot.request, {kept.key, stranger})
    assert (answer.end, answer.released) == ((stranger,), 2)
    assert world.counts(running) == Counts(assigned=4, running=1) == world.true_counts(running)
    assert world.attempt(started)["lost_at"]
    assert world.attempt(unstarted)["cause"] == "returned"
    again = work.reconcile(world.conn, pilot.keeper, pilot.request, {kept.key})
    assert (again.end, again.released) == ((), 0)


def test_reconciliation_leaves_a_claim_whose_answer_is_on_its_way(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    pilot.claim()
    assert work.reconcile(world.conn, pilot.keeper, pilot.request - 1, set()).released == 0


def test_a_report_meets_a_kill_without_losing_either(world: World, database_url: str) -> None:
    task = world.task(jobs=2, test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    one, two = pilot.claim(cpu=2)
    with connect(database_url) as other, other.transaction():
        lifecycle.apply(other, task, TaskInput.KILL, by="ana")
        with (
            pytest.raises(Exception, match="busy"),
            connect(database_url, lock_timeout=0.1) as third,
        ):
            work.report(third, pilot.keeper, [Outcome(one.key, Cause.EXIT, exit_status=0)])
    assert world.state(task) is TaskState.KILL
    pilot.end(one)
    pilot.end(two, status=1)
    world.conduct()
    assert (world.state(task), world.counts(task)) == (TaskState.KILLED, Counts(done=1, killed=1))


def test_with_resume_the_next_attempt_gets_the_same_folder(world: World) -> None:
    world.task(jobs=1, test_jobs=0, retries=5, resume=True)
    world.conduct(rounds=2)
    pilot = world.pilot()
    folders = []
    for _ in range(3):
        (grant,) = pilot.claim()
        folders.append((grant.key.number, grant.folder_number))
        assert grant.new_folder == (grant.key.number == 1)
        pilot.end(grant, status=1)
        world.wait_out_back_off()
    assert folders == [(1, 1), (2, 1), (3, 1)]


def test_unknown_attempts_and_keepers(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    nowhere = replace(grant.key, task_id=99)
    assert work.started(world.conn, pilot.keeper, [Started(nowhere, 0.0)]) == ()
    work.report(world.conn, pilot.keeper, [Outcome(nowhere, Cause.EXIT, exit_status=0)])
    with pytest.raises(KeeperFenced):
        work.report(world.conn, uuid4(), [Outcome(grant.key, Cause.EXIT, exit_status=0)])


def test_signing_off_shows_at_once(world: World) -> None:
    pilot = world.pilot()
    work.detach(world.conn, pilot.node, pilot.agent, [pilot.keeper])
    gone = world.conn.execute(
        "select p.gone_at, k.gone_at from pilot p join keeper k using (node_id)"
    )
    assert all(gone.fetchone() or [None])


# Jobs of several slots


def test_a_claim_fills_slots_not_jobs(world: World) -> None:
    task = world.task(jobs=9, test_jobs=0, cores=3)
    small = world.task(jobs=9, name="user.ana.small", test_jobs=0)
    world.conduct(rounds=2)
    grants = world.pilot().claim(cpu=7)
    assert [grant.key.task_id for grant in grants] == [task, task, small]


def test_a_job_that_is_too_big_for_a_node_is_left_to_others(world: World) -> None:
    big = world.task(jobs=2, queue="gpu", test_jobs=0, gpus=3)
    small = world.task(jobs=2, name="user.ana.small", queue="gpu", test_jobs=0, gpus=1)
    world.conduct(rounds=2)
    pilot = world.pilot()
    assert {grant.key.task_id for grant in pilot.claim(cpu=0, gpu=2)} == {small}
    world.conn.execute("update node set gpu_enabled = 4, gpu_max = 4")
    four, two = Room(devices=(DeviceRoom(),) * 4), Room(devices=(DeviceRoom(),) * 2)
    answer = work.claim(world.conn, pilot.agent, pilot.keeper, 9, four, offered=two)
    assert answer.grants == ()
    assert [grant.key.task_id for grant in pilot_again(pilot, 10).claim(cpu=0, gpu=4)] == [big]


def pilot_again(pilot: Pilot, request: int) -> Pilot:
    return replace(pilot, request=request)


def test_a_big_job_is_not_kept_waiting_by_small_ones(world: World) -> None:
    small = world.task(jobs=3, name="user.ana.small", test_jobs=0)
    pilot = world.pilot()
    world.conduct(rounds=2)
    first = pilot.claim(cpu=2)
    world.conn.execute("update node set cpu_enabled = 4")
    big = world.task(jobs=2, test_jobs=0, cores=3, priority=1)
    world.conduct(rounds=2)
    world.reserve()
    answer = pilot.claim_answer(cpu=2)
    assert (answer.grants, answer.held_back) == ((), {Queue.CPU: (Resources(3),)})
    other = world.pilot("other")
    assert [grant.key.task_id for grant in other.claim(cpu=3)] == [big]
    pilot.end(*first)
    (grant,) = pilot.claim(cpu=3)
    assert grant.key.task_id == big
    assert [g.key.task_id for g in pilot.claim(cpu=1)] == [small], "nothing big is left"


def test_a_repeated_answer_is_not_mistaken_for_a_complete_one(world: World) -> None:
    """Held-back slots are reported once; an agent that missed the answer must ask again, not wait for the next poll."""
    world.task(jobs=1, name="user.ana.small", test_jobs=0, priority=2)
    world.task(jobs=2, test_jobs=0, cores=8, priority=1)
    pilot = world.pilot()
    world.conduct(rounds=2)
    lost = pilot.claim_answer(cpu=4)
    again = replace(pilot, request=pilot.request - 1).claim_answer(cpu=4)
    assert (lost.repeated, again.repeated) == (False, True)
    assert again.grants == lost.grants
    for answer, asks_again in ((lost, False), (again, True)):
        context: Any = SimpleNamespace(
            request=1,
            tasks=dict(lost.tasks),
            state=PilotState({Queue.CPU: 4, Queue.GPU: 0}),
            claim_policy=ClaimPolicy(),
        )
        claimer = Claimer(context, cast(Any, None), cast(Any, None))
        handle: Any = SimpleNamespace(id=pilot.keeper, dead=False)
        claimer._granted(handle, pilot.request, Asked((Queue.CPU,), Room(cpus=4)), answer)
        assert (to_claim(context.state, context.claim_policy) is not None) == asks_again


def test_a_node_that_runs_a_big_job_fills_the_rest_with_small_ones(world: World) -> None:
    world.task(jobs=2, test_jobs=0, cores=3, priority=1)
    small = world.task(jobs=9, name="user.ana.small", test_jobs=0)
    world.conduct(rounds=2)
    pilot = world.pilot()
    assert len(pilot.claim(cpu=3)) == 1
    assert [grant.key.task_id for grant in pilot.claim(cpu=2)] == [small, small]
