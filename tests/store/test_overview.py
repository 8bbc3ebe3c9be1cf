"""A cluster at a glance: what needs attention until somebody has seen it, what runs, and how many jobs ended."""

from __future__ import annotations

import pytest

from orchestra.domain.attention import Concern
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.states import Queue, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.interface.answers.overview import Overview
from orchestra.interface.overview import AcknowledgeTask, ShowOverview
from orchestra.interface.task_changes import RetryTask
from orchestra.services.tasks import lifecycle
from orchestra.store.cluster import retention
from orchestra.store.driver.sql import load
from support.plans import plan
from support.world import World


def overview(world: World, who: str = "ana", owner: str | None = None) -> Overview:
    return world.interface(who)(ShowOverview(owner))


def concerns(
    world: World, who: str = "ana", owner: str | None = None
) -> list[tuple[Concern, int | None]]:
    return [(each.concern, each.task) for each in overview(world, who, owner).attention]


def test_failures_are_told_until_they_were_seen(world: World) -> None:
    world.interface("root")(ShowOverview())  # the first user
    task, other = (
        world.task(6, test_jobs=0),
        world.task(6, name="user.bob.t", owner="bob", test_jobs=0),
    )
    world.run_all(failing=[2, 4])
    assert world.state(task) is TaskState.FINALIZED
    assert (Concern.TASK_FAILED, task) in concerns(world, owner="ana")
    assert (Concern.TASK_FAILED, other) not in concerns(world, owner="ana")
    assert (Concern.TASK_FAILED, other) in concerns(world)
    hour = overview(world).hours[-1]
    assert (hour.done, hour.failed) == (8, 4)
    ask = world.interface()
    ask(AcknowledgeTask(task))
    assert (Concern.TASK_FAILED, task) not in concerns(world)
    with pytest.raises(Refused):
        ask(AcknowledgeTask(other))
    # It is told again when it has ended again.
    ask(RetryTask(task))
    with pytest.raises(Refused, match="has not ended"):
        ask(AcknowledgeTask(task))
    world.run_all(failing=[4])
    assert world.state(task) is TaskState.FINALIZED
    assert (Concern.TASK_FAILED, task) in concerns(world)


def test_what_runs_and_which_slots_are_in_use(world: World) -> None:
    pilot = world.pilot()
    task = world.task(6, test_jobs=0)
    world.conduct(2)
    held = world.task(3, name="user.ana.held", queue="gpu")
    lifecycle.apply(world.conn, held, TaskInput.HOLD, by="ana", why="later")
    pilot.start(*pilot.claim(cpu=2))
    found = overview(world)
    assert [line.task.id for line in found.live] == [held, task]
    assert (found.live_tasks, found.nodes, found.nodes_online) == (2, 1, 1)
    assert [(use.queue, use.enabled, use.in_use, use.waiting) for use in found.queues] == [
        (Queue.CPU, 8, 2, 4),
        (Queue.GPU, 2, 0, 3),
    ]
    assert concerns(world) == [(Concern.CONDUCTOR, None), (Concern.TASK_HELD, held)]
    world.conn.execute("update pilot set seen_at = now() - interval '5 minutes'")
    assert concerns(world) == [
        (Concern.PILOTS, None),
        (Concern.TASK_HELD, held),
        (Concern.NODE_OFFLINE, None),
    ]
    with pytest.raises(NotFound):
        overview(world, owner="nobody")


def test_mail_that_was_not_delivered_is_told_to_its_recipient_and_to_admins(world: World) -> None:
    for who in ("root", "ana", "bob"):
        world.interface(who)(ShowOverview())
    world.conn.execute("update person set is_admin = name = 'root'")
    world.conn.execute(
        "insert into outbox (message_id, kind, person_id, refused_at, last_error) "
        "values ('<1>', 'task', %s, now(), 'no such address')",
        [world.person("ana")],
    )
    assert concerns(world) == concerns(world, "root") == [(Concern.MAIL, None)]
    assert concerns(world, "bob") == []


def test_old_hours_are_forgotten(world: World) -> None:
    world.conn.execute(
        "insert into ended_per_hour select now() - n * interval '1 day', 1, 5, 0 from generate_series(0, 20) n"
    )
    retention.delete_hours(world.conn)
    assert world.conn.execute("select count(*) from ended_per_hour").fetchone() == (7,)


def test_an_overview_reads_by_keys(world: World) -> None:
    for n in range(300):
        world.task(1, name=f"user.ana.t{n}")
    world.conn.execute("update task set state = 'KILL' where id > 50")
    world.conn.execute(
        "update task set state = 'KILLED', ended_at = now() - id * interval '1 day' where id > 50"
    )
    world.conn.execute("analyze")
    own, tasks = load("tasks/overview"), load("tasks/tasks")
    for which, params in (
        (own.live, {"owner": None, "limit": 500}),
        (own.ended, {"owner": None, "limit": 20, "seconds": 86400.0}),
    ):
        found = plan(world.conn, tasks.select_task + "\n" + which, params)
        assert found.walked & {"job", "attempt", "event"} == set()
        assert found.indexes & {"task_live", "task_to_forget"}, found.root
