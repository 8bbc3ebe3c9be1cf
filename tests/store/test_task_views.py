"""Reports about tasks: counts, failures, estimates, reasons to wait, queues; and the selection of tasks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotFound, Refused
from orchestra.domain.estimates import Estimate, estimate_end
from orchestra.domain.matchmaking import NodeOffer
from orchestra.domain.models.selection import Selection
from orchestra.domain.models.tasks import Counts, Hold, Resources, Task
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause, Queue, TaskState
from orchestra.domain.usage import Usage
from orchestra.interface.tasks import ListTasks
from orchestra.interface.waiting import kill_for_good, wait_for_tasks
from orchestra.services import work
from orchestra.services.database import recovery
from orchestra.services.nodes import queues
from orchestra.services.tasks import actions, lists, selection, views, waiting
from orchestra.store.tasks import tasks as store
from support.people import caller
from support.world import Pilot, World

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def get(conn: psycopg.Connection, task: int) -> Task:
    found = store.by_id(conn, task)
    assert found
    return found


def person(conn: psycopg.Connection, name: str = "ana") -> Caller:
    return caller(conn, name)


def finish(world: World, pilot: Pilot, outcomes: dict[int, Outcome | int]) -> None:
    """Run the claimable jobs: those given end so, the others succeed."""
    grants = pilot.claim(cpu=100)
    pilot.start(*grants)
    for grant in grants:
        told = outcomes.get(grant.key.index, 0)
        if isinstance(told, int):
            pilot.end(grant, status=told)
        else:
            work.report(world.conn, pilot.keeper, [replace(told, key=grant.key)])
    world.conduct(3)


def outcome(cause: Cause, **more: Any) -> Outcome:
    return Outcome(None, cause, **more)  # type: ignore[arg-type]


def test_lists_are_by_owner_and_leave_done_ones_out(world: World) -> None:
    mine, bobs = world.task(3), world.task(3, name="user.bob.task", owner="bob")
    done = world.task(1, name="user.ana.done", test_jobs=0)
    world.conn.execute(
        "update task set held_at = now(), held_by = 'x', held_reason = 'x' where id in (0, 1)"
    )
    world.conduct(2)
    finish(world, world.pilot(serve_all=True), {})

    def listed(**options: Any) -> list[int]:
        return [line.task.id for line in lists.list_tasks(world.conn, ListTasks(**options))]

    assert listed(owner="ana", every=False) == [mine]
    assert listed(owner="ana", every=True) == [mine, done]
    assert listed(owner=None, every=False) == [mine, bobs]
    assert listed(owner=None, every=True) == [mine, bobs, done]


def test_failures_are_grouped_by_how_they_ended(world: World) -> None:
    task = world.task(8, test_jobs=0)
    pilot = world.pilot(serve_all=True)
    world.conduct(2)
    tail = b"Traceback\nValueError: \xff \x1b[31m learning rate\n\n"
    finish(
        world,
        pilot,
        {
            1: outcome(Cause.EXIT, exit_status=3, log_tail=tail),
            4: 3,
            5: outcome(Cause.SIGNAL, signal=9, reason="212 MB of memory at its end"),
            6: outcome(Cause.TIMEOUT, signal=15),
            7: outcome(Cause.NOT_COMPLETE, exit_status=0, reason="there is no .complete"),
        },
    )
    report = views.show(world.conn, str(task))
    assert report.task.state is TaskState.FINALIZED
    found = {group.example.what: group for group in report.failures}
    assert report.failures[0].example.what == "exit status 3"
    assert {what: (group.jobs, group.example.index) for what, group in found.items()} == {
        "exit status 3": (2, 1),
        "killed by signal 9 (SIGKILL)": (1, 5),
        "exceeded its timeout": (1, 6),
        "exit status 0, but not complete": (1, 7),
    }
    line = found["exit status 3"].example.last_line
    assert line is not None
    assert line.startswith("ValueError: ")
    assert line.isprintable()
    assert found["killed by signal 9 (SIGKILL)"].example.reason == "212 MB of memory at its end"
    assert found["exit status 3"].config == "config.1.json"


def test_what_broke_a_test_is_shown(world: World) -> None:
    task = world.task(30, test_jobs=2)
    pilot = world.pilot(serve_all=True)
    world.conduct(2)
    finish(world, pilot, {0: 1})
    report = views.show(world.conn, "user.ana.task")
    assert report.task.id == task
    assert report.task.state is TaskState.BROKEN
    assert [(g.example.what, g.jobs, g.example.index) for g in report.failures] == [
        ("exit status 1", 1, 0)
    ]
    assert [event.to_state for event in report.events][-1] == "BROKEN"
    assert report.events[0].id < report.events[-1].id


def test_cpu_time_is_summed(world: World) -> None:
    task = world.task(3, test_jobs=0)
    world.conduct(2)
    finish(
        world,
        world.pilot(serve_all=True),
        {n: outcome(Cause.EXIT, exit_status=0, usage=Usage(100.0), seconds=5.0) for n in range(3)},
    )
    report = views.show(world.conn, str(task))
    assert (report.cpu_seconds, report.cpu_is_exact) == (300.0, True)


def test_the_queue_is_in_the_order_of_claims(world: World) -> None:
    world.task(3, test_jobs=0)
    world.task(20, name="user.ana.urgent", test_jobs=0, priority=5)
    world.task(2, name="user.ana.held", test_jobs=0)
    actions.hold(world.conn, person(world.conn), 2, "later")
    pilot = world.pilot(serve_all=True)
    world.conduct(2)
    grants = pilot.claim(cpu=2)
    pilot.start(grants[0])
    report = queues.show_queue(world.conn, Queue.CPU)
    assert [(job.task_id, job.index) for job in report.running] == [(1, 0), (1, 1)]
    assert [job.started_at is not None for job in report.running] == [True, False]
    assert [(job.task_id, job.index) for job in report.waiting] == [(1, n) for n in range(2, 12)]
    assert queues.show_queue(world.conn, Queue.GPU).waiting == ()


# Selecting tasks


def test_ids_names_and_ranges(world: World) -> None:
    for name in ("user.ana.a", "user.ana.b", "user.ana.c"):
        world.task(1, name=name)
    conn = world.conn
    assert selection.find_ids(conn, Selection(("2", "user.ana.a", "2"))) == [2, 0]
    assert selection.find_ids(conn, Selection((), 1, 99)) == [1, 2]
    with pytest.raises(NotFound, match="no task 7"):
        selection.find_ids(conn, Selection(("0", "7")))
    with pytest.raises(NotFound, match="no task from 5 to 9"):
        selection.find_ids(conn, Selection((), 5, 9))
    with pytest.raises(BadInput, match="greater than"):
        selection.find_ids(conn, Selection((), 2, 1))
    with pytest.raises(NotFound, match=r'Did you mean "user\.ana\.b"\?'):
        selection.find(conn, "user.ana.bb")
    with pytest.raises(BadInput, match="neither the number"):
        selection.find(conn, "'; drop table task; --")


def test_a_deleted_task_is_gone_from_every_view(world: World) -> None:
    task = world.task(1)
    ana = person(world.conn)
    with pytest.raises(Refused, match="is REGISTERED"):
        actions.delete(world.conn, ana, task)
    assert kill_for_good(world.interface(), task, timeout=0)
    actions.delete(world.conn, ana, task)
    assert lists.list_tasks(world.conn, ListTasks(every=True)) == []
    for word in (str(task), "user.ana.task"):
        with pytest.raises(NotFound):
            selection.find(world.conn, word)


def test_force_waits_for_what_is_alive(world: World) -> None:
    task = world.task(2, test_jobs=0)
    pilot = world.pilot(serve_all=True)
    world.conduct(2)
    pilot.start(*pilot.claim(cpu=1))
    assert not kill_for_good(world.interface(), task, timeout=0)
    assert get(world.conn, task).state is TaskState.KILL


# Waiting


def test_waiting_ends_with_the_tasks_and_tells_of_changes(world: World) -> None:
    task = world.task(2, test_jobs=0)
    pilot = world.pilot(serve_all=True)
    steps = [lambda: world.conduct(2), lambda: finish(world, pilot, {})]
    told: list[TaskState] = []
    waited = wait_for_tasks(
        world.interface(),
        [task],
        changed=lambda found: told.append(found.state),
        sleep=lambda _: steps.pop(0)(),
    )
    assert not waited.timed_out
    assert [found.state for found in waited.tasks] == [TaskState.DONE]
    assert told == [TaskState.REGISTERED, TaskState.RUNNING, TaskState.DONE]


def test_waiting_gives_up(world: World) -> None:
    waited = wait_for_tasks(world.interface(), [world.task(1)], timeout=0)
    assert waited.timed_out


# Estimates and reasons: pure


@pytest.fixture
def task(world: World) -> Task:
    """A running task of 100 jobs, of which 40 are done and 5 run."""
    counts = Counts(done=40, running=5, assigned=55)
    return replace(
        get(world.conn, world.task(100)),
        state=TaskState.RUNNING,
        counts=counts,
        work_started_at=NOW - timedelta(seconds=400),
    )


def test_the_end_is_estimated_from_a_typical_job(task: Task) -> None:
    assert estimate_end(replace(task, typical_seconds=10.0), NOW).seconds == pytest.approx(115)


def test_or_from_the_rate_so_far(task: Task) -> None:
    assert estimate_end(task, NOW).seconds == pytest.approx(600)
    assert estimate_end(replace(task, run=2), NOW) == Estimate(
        words="-"
    )  # jobs of older runs do not count
    assert estimate_end(replace(task, counts=Counts(assigned=100)), NOW) == Estimate(words="-")


def test_or_nobody_knows(task: Task) -> None:
    held = Hold(NOW, "ana", "new data")
    assert estimate_end(replace(task, hold=held), NOW).words == "held"
    assert estimate_end(replace(task, state=TaskState.TESTING), NOW).words == "after the test"
    assert estimate_end(replace(task, state=TaskState.KILL), NOW).words == "being ended"
    assert estimate_end(replace(task, state=TaskState.DONE), NOW) == Estimate()


GOOD = NodeOffer("gauss", 8, online=True, account="ana")
OLDER = replace(GOOD, runtimes=("podman 5",), knows_revisions=False)


@pytest.mark.parametrize(
    ("nodes", "says"),
    [
        ([], "There is no node yet"),
        ([replace(GOOD, enabled=0)], "No node has an enabled CPU slot"),
        ([replace(GOOD, enabled=1)], "A job needs 2 CPU slots; no node has more than 1"),
        ([replace(GOOD, online=False)], "No pilot is online"),
        ([replace(GOOD, drained_at=NOW)], "is drained"),
        ([replace(GOOD, account="bob")], 'Unix account "ana"'),
        ([GOOD], "container runtime for the image ana/image"),
        ([OLDER], "pilots of an older version do not run it"),
    ],
)
def test_the_step_that_leaves_no_node_is_the_reason(
    task: Task, nodes: list[NodeOffer], says: str
) -> None:
    wanted = replace(task, image="ana/image", resources=Resources(cores=2), revision=2)
    (reason,) = waiting.reasons(wanted, nodes, conductor=True)
    assert says in str(reason)


def test_a_recovering_database_is_the_reason(world: World) -> None:
    task = world.task(jobs=3)
    recovery.begin(world.conn, recovery.OLDER, who="test")
    (reason,) = views.waiting_reasons(world.conn, get(world.conn, task))
    assert str(reason).startswith(
        "Nothing starts at present because the database is recovering: it was replaced by an older one"
    )


def test_other_reasons(task: Task) -> None:
    container = replace(GOOD, runtimes=("apptainer",), account="bob", serves_all=True)
    assert waiting.reasons(replace(task, image="x"), [container], conductor=True) == ()
    assert "There is no conductor" in str(waiting.reasons(task, [GOOD], conductor=False)[0])
    held = replace(task, hold=Hold(NOW, "bob", "new data"))
    assert waiting.reasons(held, [], conductor=True) == ("It is held by bob: new data",)
    assert waiting.reasons(replace(task, counts=Counts(done=100)), [], conductor=True) == ()
    gpu = replace(task, queue=Queue.GPU, resources=Resources(gpus=1))
    assert "enabled GPU slot" in str(
        waiting.reasons(gpu, [replace(GOOD, enabled=0)], conductor=True)[0]
    )
