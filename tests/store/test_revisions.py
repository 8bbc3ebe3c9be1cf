"""Revisions of a task: what was claimed before a change keeps its values, and the rest gets the new ones."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest

from orchestra.domain.models.work import Outcome, Revision
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause, JobState, TaskState
from orchestra.services import work
from orchestra.services.nodes import nodes
from orchestra.services.tasks import selection, views
from orchestra.store.driver.database import in_transaction
from orchestra.store.jobs import jobs
from orchestra.store.tasks import live_tasks, revisions, task_mutations
from support.world import Pilot, World


def change(world: World, task: int, **columns: object) -> int:
    """Change what jobs of a task are started with."""

    def work() -> int:
        task_mutations.lock_task(world.conn, task)
        revision = revisions.supersede(world.conn, task, by="ana", why="a trial")
        for column, value in columns.items():
            world.conn.execute(f"update task set {column} = %s where id = %s", [value, task])
        return revision

    return in_transaction(world.conn, work)


def change_inputs(world: World, task: int) -> None:
    """Let a task read other configs, and other data."""
    configs = world.dataset_version(5, "/data/new")
    data = world.dataset_version(1, "/data/new.npz", is_folder=False)
    change(world, task, config_version_id=configs)
    world.conn.execute("update task_input set version_id = %s where task_id = %s", [data, task])


def test_what_was_claimed_before_a_change_keeps_its_own_values(world: World, running: int) -> None:
    pilot = world.pilot()
    [old] = pilot.claim()
    change_inputs(world, running)
    assert change(world, running, timeout=60, memory_bytes=1000, cores=2, grace=5) == 3
    answer = pilot.claim_answer(cpu=2)
    [new] = answer.grants
    assert (old.revision, old.config.path) == (1, "/data/configs/config.0.json")
    assert (new.revision, new.config.path) == (3, "/data/new/config.1.json")
    spec = answer.tasks[Revision(running, 3)]
    assert (spec.timeout, spec.grace, spec.resources.cores) == (60, 5, 2)
    assert dict(spec.inputs) == {"DATA": "/data/new.npz"}
    assert [file.path for file in spec.shared_files] == ["/data/new.npz"]

    # A lost answer is repeated as it was, and so is what an agent asks for that takes over.
    pilot.request = 0
    repeated = pilot.claim_answer()
    assert (repeated.grants, list(repeated.tasks)) == ((old,), [Revision(running, 1)])
    specs, configs = work.inputs(world.conn, [old.key, new.key])
    assert configs[old.key] == (Revision(running, 1), old.config)
    assert configs[new.key] == (Revision(running, 3), new.config)
    first = specs[Revision(running, 1)]
    assert (first.timeout, first.resources.memory_bytes, first.resources.cores) == (None, None, 1)
    assert dict(first.inputs) == {"DATA": "/data/digits.npz"}
    assert specs[Revision(running, 3)] == spec


def test_a_known_spec_is_never_used_for_a_later_revision(world: World, running: int) -> None:
    pilot, known = world.pilot(), [Revision(running, 1)]
    change(world, running, timeout=60)
    answer = work.claim(world.conn, pilot.agent, pilot.keeper, 1, Room(1), known)
    assert [spec.timeout for spec in answer.tasks.values()] == [60]


def test_running_jobs_take_the_slots_that_they_were_started_with(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    pilot.start(*pilot.claim(cpu=2))
    change(world, running, cores=3)
    pilot.start(*pilot.claim(cpu=3))
    [node] = nodes.everything(world.conn)
    assert node.cpu_in_use == 2 * 1 + 3
    [live] = live_tasks.read(world.conn)
    assert (live.load.jobs, live.load.cpus) == (3, 5)


def test_what_was_claimed_ahead_is_requeued_and_claimed_again(world: World, running: int) -> None:
    pilot = world.pilot()
    ahead, started = pilot.claim(cpu=2)
    pilot.start(started)
    assert renewal(pilot) == ()
    change(world, running, timeout=60)
    assert renewal(pilot) == ((ahead.key, "its task was changed"),)
    pilot.end(ahead, cause=Cause.RETURNED)
    [again] = pilot.claim()
    assert (again.key.index, again.revision) == (ahead.key.index, 2)
    pilot.start(again)
    assert renewal(pilot) == ()


def renewal(pilot: Pilot) -> tuple[object, ...]:
    return work.renew(pilot.conn, pilot.node, pilot.agent, [pilot.keeper]).recall


def test_an_input_that_the_task_no_longer_reads_does_not_hold_it(
    world: World, running: int
) -> None:
    pilot = world.pilot()
    [old] = pilot.claim()
    change_inputs(world, running)
    for grant, held in ((old, False), *((new, True) for new in pilot.claim())):
        changed = Outcome(grant.key, Cause.INPUT, reason="/data/digits.npz has changed")
        work.report(world.conn, pilot.keeper, [changed])
        assert (world.column(running, "held_at") is not None) is held


def test_a_result_keeps_the_config_that_it_came_from(world: World, running: int) -> None:
    pilot = world.pilot()
    pilot.end(*pilot.claim())
    change_inputs(world, running)
    newest = world.column(running, "config_version_id")
    world.conn.execute("update dataset_file set path = 'new' where version_id = %s", [newest])
    pilot.end(*pilot.claim())
    old, new = jobs.results(world.conn, running, 5)
    assert (old.revision, new.revision) == (1, 2)
    assert (old.path, new.path) == ("config.0.json", "new")


def test_inputs_of_older_revisions_are_kept_until_the_task_is_deleted(
    world: World, running: int
) -> None:
    change_inputs(world, running)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        world.conn.execute("delete from dataset_version where root = '/data/configs'")
    world.conn.execute("delete from task where id = %s", [running])
    world.conn.execute("delete from dataset_version where root = '/data/configs'")


# Pilots of schema 15

OLD_CANDIDATES = """
select id, rank, slots_of(task) as slots from task
where queue = 'cpu' and rank is not null and held_at is null and slots_of(task) <= 1000000
"""
OLD_ATTEMPT = """
insert into attempt
    (task_id, ordinal, number, token, keeper_id, node_id, request, run, is_test, config_sha256, folder_number)
values (%s, %s, 1, %s, %s, %s, %s, 1, false, null, 1)
"""


def test_a_pilot_that_knows_no_revisions_is_offered_no_changed_task(
    world: World, running: int
) -> None:
    world.conduct(2)
    assert [row[0] for row in world.conn.execute(OLD_CANDIDATES)] == [running]
    change(world, running, timeout=60)
    assert world.conn.execute(OLD_CANDIDATES).fetchall() == []
    world.pilot()
    world.conn.execute("update pilot set knows_revisions = false")
    [reason] = views.waiting_reasons(world.conn, selection.find(world.conn, str(running)))
    assert "pilots of an older version do not run it" in str(reason)
    world.pilot().end(*world.pilot().claim(cpu=9))
    world.conduct()
    assert world.state(running) is TaskState.DONE


def test_its_claim_begins_again_if_the_task_was_changed_meanwhile(
    world: World, running: int
) -> None:
    pilot = world.pilot()

    def claim(index: int, request: int) -> None:
        keys = [running, index, uuid4(), pilot.keeper, pilot.node, request]
        world.conn.execute(OLD_ATTEMPT, keys)

    claim(0, 1)
    change(world, running, timeout=60)
    with pytest.raises(psycopg.errors.SerializationFailure):
        claim(1, 2)
    claim(2, 0)  # adopted after the restore of an older database
    rows = world.conn.execute("select ordinal, revision from attempt order by 1").fetchall()
    assert rows == [(0, 1), (2, 2)]
    assert world.jobs(running) == [JobState.ASSIGNED] * 5
