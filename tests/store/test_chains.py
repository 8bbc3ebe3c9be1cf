"""Tasks that wait for other tasks to be DONE."""

from __future__ import annotations

import psycopg
import pytest

from orchestra import command_words
from orchestra.conductor import lifecycle as conductor
from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.states import JobState, TaskState
from orchestra.interface.tasks import ListTasks
from orchestra.services.jobs import explain
from orchestra.services.tasks import actions, creation, lifecycle, lists, selection, views
from orchestra.store.tasks import chains, live_tasks
from support.people import caller
from support.world import Pilot, World


@pytest.fixture
def world(conn: psycopg.Connection) -> World:
    world = World(conn)
    world.person()
    conn.execute(
        "insert into dataset (name, owner_id) values ('user.ana.data', 1), ('user.ana.grid', 1)"
    )
    for dataset, files in ((1, 1), (2, 4)):
        version = world.dataset_version(files)
        conn.execute("update dataset_version set dataset_id = %s where id = %s", [dataset, version])
    return world


@pytest.fixture
def ana(world: World) -> Caller:
    return caller(world.conn)


def create(
    world: World, ana: Caller, tmp: object, name: str, *after: object, config: str = "user.ana.grid"
) -> int:
    new = NewTask(
        name=f"user.ana.{name}",
        command="run -d %DATA -c %IN -o %OUT",
        config=config,
        data="user.ana.data",
        volume=str(tmp),
        account="ana",
        host="gauss",
        after=tuple(map(str, after)),
    )
    return creation.create(world.conn, creation.plan(world.conn, ana, new)).id


def run(world: World, pilot: Pilot, *, failing: bool = False) -> None:
    """Run all claimable jobs to their end."""
    for _ in range(4):
        world.conduct()
        grants = pilot.claim(cpu=100)
        pilot.start(*grants)
        pilot.end(*grants, status=3 if failing else 0)
    world.conduct(3)


def test_a_task_begins_when_the_other_one_is_done(
    world: World, ana: Caller, tmp_path: object
) -> None:
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    second = create(world, ana, tmp_path, "second", "user.ana.first")
    world.conduct(3)
    assert (world.state(first), world.state(second)) == (TaskState.TESTING, TaskState.REGISTERED)
    assert {grant.key.task_id for grant in pilot.claim(cpu=100)} == {first}
    pilot.conn.execute("update job set keeper_id = null where task_id = %s", [first])
    run(world, pilot)
    assert world.state(first) is TaskState.DONE
    assert world.state(second) is TaskState.DONE
    assert chains.of_task(world.conn, second) == []
    words = [event.why for event in views.show(world.conn, str(second)).events]
    assert f"task {first} (user.ana.first) is DONE" in words


def test_a_task_waits_for_all_of_them(world: World, ana: Caller, tmp_path: object) -> None:
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    held = create(world, ana, tmp_path, "held")
    third = create(world, ana, tmp_path, "third", first, held, first)
    actions.hold(world.conn, ana, held, "later")
    run(world, pilot)
    assert [wait.id for wait in chains.of_task(world.conn, third)] == [held]
    assert world.state(third) is TaskState.REGISTERED
    actions.release(world.conn, ana, held)
    run(world, pilot)
    assert world.state(third) is TaskState.DONE


def test_one_that_is_done_already_is_not_waited_for(
    world: World, ana: Caller, tmp_path: object
) -> None:
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    run(world, pilot)
    second = create(world, ana, tmp_path, "second", first)
    assert chains.of_task(world.conn, second) == []
    with pytest.raises(NotFound, match="no task 99"):
        create(world, ana, tmp_path, "third", 99)


def test_outputs_become_configs_when_they_are_there(
    world: World, ana: Caller, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "CHUNK", 3)  # four jobs take two calls
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    with pytest.raises(Refused) as caught:
        create(world, ana, tmp_path, "second", config=f"task:{first}")
    assert (
        command_words.hint_of(caught.value)
        == f"--after {first} lets the new task wait until they are."
    )
    second = create(world, ana, tmp_path, "second", first, config="task:user.ana.first")
    assert world.jobs(second) == [JobState.REGISTERED] * 4
    run(world, pilot)
    paths = world.conn.execute(
        "select ordinal, path, size from dataset_file where version_id = %s order by 1",
        [world.column(second, "config_version_id")],
    ).fetchall()
    assert paths == [(n, f".attempts/job_configId_{n}/1", None) for n in range(4)]
    run(world, pilot)
    assert world.state(second) is TaskState.DONE


def test_outputs_that_are_being_read_are_not_recomputed(
    world: World, ana: Caller, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chains, "CHUNK", 1)
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    second = create(world, ana, tmp_path, "second", first, config=f"task:{first}")

    def written() -> int:
        version = world.column(second, "config_version_id")
        rows = "select from dataset_file where version_id = %s"
        return len(world.conn.execute(rows, [version]).fetchall())

    for _ in range(10):
        world.conduct()
        if written():
            break
        grants = pilot.claim(cpu=100)
        pilot.start(*grants)
        pilot.end(*grants)
    assert written() == 1
    for again in (
        lambda: actions.retry(world.conn, ana, first),
        lambda: lifecycle.retry_jobs(world.conn, first, [0], by="ana"),
    ):
        with pytest.raises(
            Refused, match=rf"task {second} \(user.ana.second\) is recording the outputs"
        ):
            again()
    assert world.state(first) is TaskState.DONE
    world.conduct(4)
    assert written() == 4
    actions.retry(world.conn, ana, first)
    assert world.state(first) is TaskState.REGISTERED


def broken(
    world: World, ana: Caller, tmp_path: object, config: str = "user.ana.grid"
) -> tuple[int, int]:
    """A task whose test failed, and one that waits for it."""
    pilot = world.pilot()
    first = create(world, ana, tmp_path, "first")
    if config.startswith("task:"):
        config = f"task:{first}"
    second = create(world, ana, tmp_path, "second", first, config=config)
    run(world, pilot, failing=True)
    assert world.state(first) is TaskState.BROKEN
    assert world.state(second) is TaskState.REGISTERED
    return first, second


def test_what_is_said_while_it_waits(world: World, ana: Caller, tmp_path: object) -> None:
    first, second = broken(world, ana, tmp_path)
    wait = (
        f"It starts when task {first} (user.ana.first) is DONE, but that task is BROKEN: "
        f"maestro task retry {first} runs"
    )
    shown = views.show(world.conn, str(second))
    begins, way_out = map(command_words.worded, shown.waiting)
    assert begins.startswith(wait)
    assert way_out == f"To start it without waiting: maestro task release {second}"
    (line,) = [
        line
        for line in lists.list_tasks(world.conn, ListTasks(every=True))
        if line.task.id == second
    ]
    assert line.ends.words == f"after task {first} (BROKEN)"
    told = explain.explain(world.conn, f"{second}/0").explanation
    assert told.headline == f"Job 0 of task {second} (user.ana.second) is waiting for another task."
    assert command_words.worded(told.told[0]).startswith(wait)


def test_it_goes_on_when_the_other_one_is_retried(
    world: World, ana: Caller, tmp_path: object
) -> None:
    first, second = broken(world, ana, tmp_path)
    actions.retry(world.conn, ana, first)
    pilot = world.pilot()
    run(world, pilot)
    run(world, pilot)
    assert (world.state(first), world.state(second)) == (TaskState.DONE, TaskState.DONE)


def test_a_wait_can_be_ended(world: World, ana: Caller, tmp_path: object) -> None:
    _, second = broken(world, ana, tmp_path)
    actions.hold(world.conn, ana, second, "lunch")
    actions.release(world.conn, ana, second)  # ends only the hold
    assert len(chains.of_task(world.conn, second)) == 1
    assert actions.release(world.conn, ana, second).before.after
    world.conduct(2)
    assert world.state(second) is TaskState.TESTING


def test_without_its_configs_it_is_not_let_go(world: World, ana: Caller, tmp_path: object) -> None:
    first, second = broken(world, ana, tmp_path, "task:")
    with pytest.raises(Refused, match=f"are the outputs of task {first}"):
        actions.release(world.conn, ana, second)
    assert len(chains.of_task(world.conn, second)) == 1


def test_one_that_was_deleted_is_said(world: World, ana: Caller, tmp_path: object) -> None:
    first, second = broken(world, ana, tmp_path)
    actions.delete(world.conn, ana, first)
    for gone in (False, True):
        if gone:  # its rows, too
            world.conn.execute("delete from task_input where task_id = %s", [first])
            world.conn.execute("delete from task where id = %s", [first])
        world.conduct(2)
        task = selection.find(world.conn, str(second))
        assert [(each.name, each.state) for each in task.after] == [("user.ana.first", None)]
        said = views.waiting_reasons(world.conn, task)
        assert "but that task was deleted" in str(said[0])
    actions.release(world.conn, ana, second)
    world.conduct(2)
    assert world.state(second) is TaskState.TESTING


def test_done_and_deleted_between_two_checks_is_done(
    world: World, ana: Caller, tmp_path: object
) -> None:
    first = create(world, ana, tmp_path, "first")
    second = create(world, ana, tmp_path, "second", first)
    world.conn.execute("alter table task disable trigger task_changed")
    world.conn.execute(
        "update task set state = 'DONE', ended_at = now(), deleted_at = now() where id = %s",
        [first],
    )
    world.conn.execute("alter table task enable trigger task_changed")
    world.conduct(2)
    assert world.state(second) is TaskState.TESTING


def test_kill_retry_and_single_jobs_of_one_that_waits(
    world: World, ana: Caller, tmp_path: object
) -> None:
    first, second = broken(world, ana, tmp_path)
    actions.kill(world.conn, ana, second)
    world.conduct(2)
    assert world.state(second) is TaskState.KILLED
    with pytest.raises(Refused, match=f"waits for task {first}"):
        lifecycle.retry_jobs(world.conn, second, [0], by="ana")
    actions.retry(world.conn, ana, second)
    world.conduct(3)
    assert world.state(second) is TaskState.REGISTERED
    assert len(chains.of_task(world.conn, second)) == 1


def test_the_database_lets_no_task_begin_that_waits(
    world: World, ana: Caller, tmp_path: object
) -> None:
    _, second = broken(world, ana, tmp_path)
    # Like a conductor without support for waiting: it finds that nothing was changed, and goes on.
    changed = world.conn.execute("update task set state = 'TESTING' where id = %s", [second])
    assert changed.rowcount == 0
    assert world.state(second) is TaskState.REGISTERED
    with pytest.raises(psycopg.errors.CheckViolation):
        world.conn.execute("insert into task_after values (%s, %s, 'itself')", [second, second])


def test_the_wait_costs_no_transaction(world: World, ana: Caller, tmp_path: object) -> None:
    broken(world, ana, tmp_path)

    def transact(step: object) -> bool:
        raise AssertionError("nothing is to be done")

    assert conductor.advance(world.conn, transact, live_tasks.read(world.conn)) == set()
