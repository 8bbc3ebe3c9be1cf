"""A database that was restored, copied or replaced is recognised, and no job is lost, run twice or killed."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest

from orchestra.conductor.conductor import Conductor
from orchestra.domain.errors import DatabaseReplaced, ForeignDatabase, SchemaMismatch
from orchestra.domain.models.cluster import DatabaseIdentity, KnownDatabase
from orchestra.domain.models.pilots import HeartbeatReply
from orchestra.domain.models.tasks import Counts
from orchestra.domain.models.work import Outcome, Revision
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services import work
from orchestra.services.database import admin, recovery
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle, standstill
from orchestra.store.driver.database import connect
from support import backup
from support.people import as_admin
from support.world import Pilot, World


def identity(conn: psycopg.Connection) -> DatabaseIdentity:
    return recovery.identify(conn, who="test")


def known(world: World, **acknowledged: int) -> KnownDatabase:
    found = identity(world.conn)
    return KnownDatabase(found.cluster, found.epoch, {UUID(k): n for k, n in acknowledged.items()})


def attach(world: World, pilot: Pilot, remembered: KnownDatabase) -> HeartbeatReply:
    """The same agent again, after its connection was lost."""
    hello = world.hello(agent=pilot.agent)
    return work.attach(world.conn, hello, known=remembered)


def restored(world: World, pilot: Pilot, remembered: KnownDatabase) -> HeartbeatReply:
    """Restore the backup, and attach a pilot that remembers more."""
    backup.put_back(world.conn)
    standing = attach(world, pilot, replace(remembered, acknowledged={pilot.keeper: 1}))
    assert standing.identity
    assert standing.identity.settling
    return standing


# Recognition


def test_a_database_in_its_place_is_not_recovering(world: World) -> None:
    assert identity(world.conn).settling is None
    assert recovery.accept(world.conn, as_admin(world.conn)) is None
    pilot = world.pilot()
    standing = attach(world, pilot, known(world))
    assert standing.identity == identity(world.conn)


@pytest.mark.parametrize("change", ["system_identifier = '1'", "timeline = 7"])
def test_another_server_or_timeline_is_detected_by_the_first_process(
    world: World, change: str
) -> None:
    before = identity(world.conn)
    world.conn.execute(f"update cluster set {change}")
    after = identity(world.conn)
    assert (after.cluster, after.epoch) == (before.cluster, before.epoch + 1)
    assert after.settling == recovery.COPIED
    assert identity(world.conn) == after, "once is enough"
    world.conn.execute(f"update cluster set {change}")
    admin.prepare(world.conn)
    assert identity(world.conn).epoch == before.epoch + 2
    world.conn.execute(f"update cluster set {change}")
    world.pilot()
    assert identity(world.conn).epoch == before.epoch + 3


def test_a_conductor_notices_it_and_carries_out_nothing(
    world: World, database_url: str, running: int
) -> None:
    waiting = world.task(jobs=3, name="user.ana.other")
    world.conn.execute("update cluster set system_identifier = '1'")
    with connect(database_url) as mine:
        conductor = Conductor(threading.Event(), name="test", patience=3600)
        conductor._begin(mine)
        conductor._tick()
        assert world.state(waiting) is TaskState.REGISTERED
        state = standstill.state(world.conn)
        assert state
        assert str(state).endswith("jobs start again within half a minute")
        conductor._patience = 0
        conductor._tick()
        assert world.state(waiting) is TaskState.TESTING
        assert standstill.state(world.conn) is None


@pytest.mark.parametrize("ago", ["0 s", "1 h"])
def test_a_conductor_notices_that_time_runs_backwards(
    world: World, database_url: str, ago: str
) -> None:
    """Its renewals are numbered; the term itself may be the one in the dump."""
    with connect(database_url) as mine:
        conductor = Conductor(threading.Event(), name="test", patience=3600)
        conductor._begin(mine)
        conductor._tick()
        backup.take(world.conn)
        for _ in range(3):
            assert conductor._term.renew()
        assert identity(world.conn).settling is None
        backup.put_back(world.conn)
        world.conn.execute(f"update leader set expires = expires - interval '{ago}'")
        conductor._term._renewed_at = 0
        conductor._tick()
    assert identity(world.conn).settling == recovery.OLDER


def test_a_foreign_database_is_refused(world: World) -> None:
    pilot = world.pilot()
    with pytest.raises(ForeignDatabase, match="another cluster"):
        attach(world, pilot, replace(known(world), cluster=uuid4()))


def test_an_empty_database_is_refused_in_words(world: World) -> None:
    world.conn.execute("drop schema orchestra cascade; create schema orchestra")
    with pytest.raises(SchemaMismatch, match="no Orchestra schema yet"):
        work.attach(world.conn, world.hello())


def test_a_database_that_lacks_what_it_acknowledged_is_an_older_one(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    remembered = known(world)
    sound = replace(remembered, acknowledged={pilot.keeper: 0})
    assert attach(world, pilot, sound).identity == identity(world.conn)
    for known_more in (
        replace(remembered, acknowledged={pilot.keeper: 9}),
        replace(remembered, epoch=remembered.epoch + 5),
    ):
        standing = attach(world, pilot, known_more)
        assert standing.identity
        assert standing.identity.epoch > known_more.epoch
        assert standing.identity.settling == recovery.OLDER
        again = replace(known_more, epoch=standing.identity.epoch - 1)
        assert attach(world, pilot, again).identity == standing.identity, "noticed once by all"


def test_a_database_whose_conductor_has_renewed_less_often_is_an_older_one(world: World) -> None:
    """It was restored to a time before its pilots' keepers, so it has none of their reports."""
    pilot = world.pilot()
    world.conn.execute("update leader set beat = 5000")
    heard = work.renew(world.conn, pilot.node, pilot.agent, []).generation
    assert heard == 5000
    remembered = replace(known(world), generation=heard)
    for generation, older in (
        (5000, False),
        (5000 - recovery.GENERATIONS_IN_A_CRASH, False),
        (4000, True),
    ):
        world.conn.execute("update leader set beat = %s", [generation])
        found = attach(world, pilot, remembered).identity
        assert found
        assert (found.settling == recovery.OLDER) == older


def test_a_node_that_was_deleted_and_made_again_is_no_sign_of_an_older_database(
    world: World,
) -> None:
    """A missing keeper, whose reports its pilot remembers, proves nothing."""
    pilot = world.pilot()
    remembered = replace(known(world), acknowledged={pilot.keeper: 9})
    work.detach(world.conn, pilot.node, pilot.agent, [pilot.keeper])
    nodes.delete(world.conn, as_admin(world.conn), "gauss")
    again = world.pilot()
    assert attach(world, again, remembered).identity == identity(world.conn)
    assert standstill.state(world.conn) is None


def test_a_renewal_in_another_epoch_is_refused_and_renews_nothing(world: World) -> None:
    pilot = world.pilot()
    epoch = identity(world.conn).epoch
    work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], epoch=epoch)
    recovery.begin(world.conn, "test", who="test")
    with pytest.raises(DatabaseReplaced):
        work.renew(world.conn, pilot.node, pilot.agent, [pilot.keeper], epoch=epoch)


# During the recovery


def test_nothing_is_claimed_or_requeued_until_every_node_has_reported(
    world: World, running: int
) -> None:
    silent, speaking = world.pilot("silent"), world.pilot("speaking")
    silent.claim()
    (grant,) = speaking.claim()
    recovery.begin(world.conn, "it was restored from a dump", who="ana")
    assert speaking.claim(cpu=3) == ()
    assert not recovery.settle(world.conn, patience=0)
    state = standstill.state(world.conn)
    assert state
    assert str(state) == (
        "it was restored from a dump; nothing starts until silent and speaking report their jobs"
    )
    work.reconcile(world.conn, speaking.keeper, speaking.request, {grant.key})
    assert not recovery.settle(world.conn, patience=0)
    work.reconcile(world.conn, silent.keeper, silent.request, set())
    assert not recovery.settle(world.conn, patience=3600), (
        "others may come that it does not know of"
    )
    assert recovery.settle(world.conn, patience=0)
    assert len(speaking.claim(cpu=9)) == 4
    events = world.conn.execute(
        "select from_state, to_state, who, why from event where kind = 'cluster' order by id"
    )
    assert events.fetchall() == [
        ("SETTLED", "SETTLING", "ana", "it was restored from a dump"),
        ("SETTLING", "SETTLED", "orchestra", "every node has reported what it runs"),
    ]


def test_an_admin_can_go_on_without_a_node(world: World, running: int) -> None:
    pilot, other = world.pilot("gone"), world.pilot()
    pilot.claim()
    recovery.begin(world.conn, "test", who="test")
    assert recovery.accept(world.conn, as_admin(world.conn)) == ["gone"]
    assert len(other.claim(cpu=9)) == 4
    recovery.begin(world.conn, "test", who="test")
    work.reconcile(world.conn, other.keeper, 0, set())
    assert not recovery.settle(world.conn, patience=0)
    nodes.lose(world.conn, as_admin(world.conn), "gone", force=True)
    assert recovery.settle(world.conn, patience=0)


def test_attempts_no_longer_granted_are_not_ended_during_the_recovery(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    pilot.start(grant)
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    recovery.begin(world.conn, "test", who="test")
    held = {grant.key: 1}
    assert work.reconcile(world.conn, pilot.keeper, 1, set(held), held).end == ()
    recovery.accept(world.conn, as_admin(world.conn))
    assert work.reconcile(world.conn, pilot.keeper, 1, set(held), held).end == (grant.key,)


# Attempts that the older database does not know


def test_a_running_job_that_the_dump_does_not_know_becomes_its_jobs_attempt(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    remembered = known(world)
    backup.take(world.conn)
    ran, ended, waiting = pilot.claim(cpu=3)
    pilot.start(ran, ended)
    restored(world, pilot, remembered)
    unknown = work.report(
        world.conn,
        pilot.keeper,
        [Outcome(ended.key, Cause.EXIT, sequence=2, exit_status=0)],
    ).unknown
    assert unknown == (ended.key,), "kept until the pilot has said what it holds"
    assert world._one("select report_sequence from keeper") == 0
    held = {grant.key for grant in (ran, ended, waiting)}
    folders = {ran.key: 1, ended.key: 1}
    found = work.reconcile(world.conn, pilot.keeper, pilot.request, held, folders)
    assert found.adopted == (ran.key, ended.key)
    assert (found.end, found.unknown) == ((waiting.key,), ()), "what has not begun never does"
    assert pilot.start(ran) == ()
    pilot.end(ended)
    assert world.counts(running) == Counts(assigned=3, running=1, done=1)
    assert recovery.settle(world.conn, patience=0)
    pilot.end(ran)
    assert sorted(g.key.index for g in pilot.claim(cpu=9)) == [2, 3, 4]
    assert world.counts(running) == world.true_counts(running)


def test_it_is_not_an_attempt_of_another_task_with_the_same_id(world: World, running: int) -> None:
    pilot = world.pilot()
    remembered = known(world)
    backup.take(world.conn)
    ours, alien = pilot.claim(cpu=2)
    pilot.start(ours, alien)
    restored(world, pilot, remembered)
    folder = world.column(running, "folder")
    held, numbers = {ours.key, alien.key}, {ours.key: 1, alien.key: 1}
    folders = {ours.key: str(folder), alien.key: "/data/ana/forgotten"}
    found = work.reconcile(world.conn, pilot.keeper, pilot.request, held, numbers, folders)
    assert (found.adopted, found.unknown, found.end) == ((ours.key,), (alien.key,), ())


def test_nothing_is_claimed_with_knowledge_of_another_epoch(world: World, running: int) -> None:
    pilot = world.pilot()
    epoch = known(world).epoch
    answer = work.claim(
        world.conn,
        pilot.agent,
        pilot.keeper,
        1,
        Room(1),
        known=[Revision(running, 1)],
        epoch=epoch,
    )
    assert len(answer.grants) == 1
    recovery.begin(world.conn, recovery.OLDER, who="ana")
    recovery.accept(world.conn, as_admin(world.conn))
    with pytest.raises(DatabaseReplaced):
        work.claim(
            world.conn,
            pilot.agent,
            pilot.keeper,
            2,
            Room(1),
            known=[Revision(running, 1)],
            epoch=epoch,
        )
    pilot.request = 1
    assert len(pilot.claim(cpu=9)) == 4


def test_it_is_adopted_from_before_its_task_began(world: World) -> None:
    task = world.task(jobs=12)
    pilot = world.pilot()
    remembered = known(world)
    backup.take(world.conn)
    world.conduct()
    (grant,) = pilot.claim()
    restored(world, pilot, remembered)
    found = work.reconcile(world.conn, pilot.keeper, 1, {grant.key}, {grant.key: 1})
    assert found.adopted == (grant.key,)
    event = world.conn.execute("select from_state, to_state from event where kind = 'job'")
    assert event.fetchone() == ("registered", "assigned")
    pilot.end(grant)
    recovery.accept(world.conn, as_admin(world.conn))
    world.conduct()
    assert world.counts(task) == Counts(registered=1, assigned=10, done=1)


def test_new_attempts_get_folders_that_lost_ones_cannot_have_used(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    remembered = known(world)
    backup.take(world.conn)
    (before,) = pilot.claim()
    pilot.end(before)
    restored(world, pilot, remembered)
    recovery.accept(world.conn, as_admin(world.conn))
    pilot.request += 1
    (after,) = pilot.claim()
    assert (after.key.index, after.key.number) == (before.key.index, before.key.number)
    assert (before.folder_number, after.folder_number, after.new_folder) == (1, 1001, True)


def test_an_unknown_attempt_of_a_requeued_job_runs_on_and_is_shown(
    world: World, running: int
) -> None:
    late, other = world.pilot("late"), world.pilot()
    remembered = known(world)
    backup.take(world.conn)
    (grant,) = late.claim()
    late.start(grant)
    restored(world, other, remembered)
    recovery.accept(world.conn, as_admin(world.conn))
    (successor,) = other.claim()
    assert successor.key.index == grant.key.index
    found = work.reconcile(world.conn, late.keeper, 1, {grant.key}, {grant.key: 1})
    assert found.unknown == (grant.key,)
    assert (found.end, found.adopted) == ((), ())
    outcome = Outcome(grant.key, Cause.EXIT, exit_status=0)
    assert work.report(world.conn, late.keeper, [outcome]).unknown == (grant.key,)
    assert world.jobs(running)[grant.key.index] is JobState.ASSIGNED


def test_an_attempt_of_a_deleted_task_is_not_unknown(world: World, running: int) -> None:
    pilot = world.pilot()
    (grant,) = pilot.claim()
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    lifecycle.apply(world.conn, running, TaskInput.KILL, by="ana")
    world.conduct(rounds=2)
    lifecycle.apply(world.conn, running, TaskInput.DELETE, by="ana")
    from orchestra.store.tasks import purge

    while purge.purge_deleted(world.conn, 100):
        pass
    found = work.reconcile(world.conn, pilot.keeper, 1, {grant.key}, {grant.key: 1})
    assert (found.end, found.unknown) == ((grant.key,), ())
    outcome = Outcome(grant.key, Cause.EXIT, exit_status=0)
    assert work.report(world.conn, pilot.keeper, [outcome]).unknown == ()


def test_what_ended_after_the_dump_was_taken_is_run_again(world: World, running: int) -> None:
    pilot = world.pilot()
    remembered = known(world)
    (grant,) = pilot.claim()
    pilot.start(grant)
    backup.take(world.conn)
    pilot.end(grant)
    restored(world, pilot, remembered)
    found = work.reconcile(world.conn, pilot.keeper, pilot.request, set(), {})
    assert found.released == 1
    recovery.settle(world.conn, patience=0)
    (again,) = pilot.claim()
    assert (again.key.index, again.key.number) == (grant.key.index, 2)
