"""Changing the settings of a task: each is checked as at its creation, recorded, and counts for the right jobs."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Limit
from orchestra.domain.models.work import Revision
from orchestra.domain.states import HoldCause, JobState, TaskState
from orchestra.domain.task_text import event_in_words
from orchestra.domain.transitions import TaskInput
from orchestra.interface.answers.task_actions import Changed
from orchestra.services.tasks import lifecycle, settings, views
from orchestra.store.tasks import tasks
from support.world import World

HOUR, GB = 3600.0, 10**9


def change(world: World, ana: Caller, task: int, **given: Any) -> Changed:
    return settings.change(world.conn, ana, task, NewSettings(**given))


def story(world: World, task: int) -> list[str]:
    return [event_in_words(event) for event in views.show(world.conn, str(task)).events]


def test_each_change_is_kept_and_has_an_event(world: World, ana: Caller, running: int) -> None:
    everything = {
        "priority": 5, "retries": 2, "max_fails": Limit(percent=10), "max_running": 3, "timeout": 2 * HOUR,
        "grace": 60.0, "walltime": HOUR, "cpus": 2, "memory_bytes": 4 * GB, "scratch_bytes": 20 * GB, "exclusive": True,
        "constraint": " gpu = a100 ", "nodes": ("gpu[01-03]",), "not_nodes": ("gpu02",), "goal": "min:loss",
    }  # fmt: skip
    done = change(world, ana, running, **everything)
    now = tasks.by_id(world.conn, running)
    assert now
    assert (now.policy, now.resources, now.goal) == (
        done.after.policy,
        done.after.resources,
        "min:loss",
    )
    assert (now.policy.timeout, now.resources.memory_bytes, now.revision) == (2 * HOUR, 4 * GB, 2)
    assert now.placement == Placement("gpu=a100", ("gpu01", "gpu02", "gpu03"), ("gpu02",))
    assert story(world, running)[-15:] == [
        "priority changed from 0 to 5 by ana",
        "retries changed from 0 to 2 by ana",
        "max-fails changed from none to 10 % by ana",
        "max-running changed from none to 3 by ana",
        "timeout changed from none to 2 h by ana",
        "grace changed from 30 s to 1 min by ana",
        "walltime changed from none to 1 h by ana",
        "cores changed from 1 to 2 by ana",
        "memory changed from none to 4 GB by ana",
        "scratch changed from none to 20 GB by ana",
        "exclusive changed from off to on by ana",
        "constraint changed from none to gpu=a100 by ana",
        "node changed from none to gpu[01-03] by ana",
        "not-node changed from none to gpu02 by ana",
        "goal changed from none to min:loss by ana",
    ]
    again = change(world, ana, running, **everything)
    assert again.changes == ()
    nothing = {
        "max_fails": Limit(),
        "max_running": 0,
        "timeout": 0.0,
        "memory_bytes": 0,
        "goal": "",
        "walltime": 0.0,
        "scratch_bytes": 0,
        "constraint": "",
        "nodes": (),
        "not_nodes": (),
    }
    assert [each.after for each in change(world, ana, running, **nothing).changes] == ["none"] * 10
    assert world.column(running, "placement_id") is None
    assert world.column(running, "revision") == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cores": 0}, "cores must be at least 1"),
        ({"gpus": 1}, "jobs on the cpu queue get no GPU"),
        ({"retries": 40_000}, "retries must be at most 32,766"),
        ({"priority": -(2**31)}, "priority must be at least"),
        ({"timeout": -1.0}, "timeout must not be negative"),
        ({"memory_bytes": -1}, "memory must not be negative"),
        ({"goal": "loss"}, "loss"),
        ({"cpus": 2, "cores": 3}, "are the same on the cpu queue"),
        ({"cpus": 0}, "cpus must be at least 1"),
        ({"gpu_milli": 500}, "jobs on the cpu queue get no GPU"),
        ({"vram_bytes": GB}, "jobs on the cpu queue get no GPU"),
        ({"scratch_bytes": 2**62}, "scratch must be at most"),
        ({"constraint": "gpu="}, "not a condition"),
        ({"nodes": ("gpu[1-",)}, "a bracket without its counterpart"),
        ({"not_nodes": ("a/b",)}, "cannot be a node name"),
    ],
)
def test_what_creation_refuses_is_refused_and_nothing_is_changed(
    world: World, ana: Caller, running: int, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        change(world, ana, running, **{"priority": 9, "timeout": HOUR, **given})
    assert (world.column(running, "priority"), world.column(running, "revision")) == (0, 1)


def test_a_job_of_the_gpu_queue_takes_a_gpu(world: World, ana: Caller) -> None:
    task = world.task(2, queue="gpu", gpus=1)
    assert change(world, ana, task, gpus=2).after.resources.gpus == 2
    assert change(world, ana, task, gpus=0).after.resources.gpus == 1


def test_a_higher_priority_goes_first_in_the_next_round(world: World, ana: Caller) -> None:
    first, second = (world.task(4, f"user.ana.{n}", test_jobs=0) for n in ("first", "second"))
    world.conduct(2)
    change(world, ana, second, priority=1)
    world.conduct()
    assert [grant.key.task_id for grant in world.pilot().claim(cpu=5)] == [second] * 4 + [first]


def test_jobs_that_have_not_started_get_the_new_values_and_others_keep_theirs(
    world: World, ana: Caller, running: int
) -> None:
    pilot = world.pilot()
    pilot.start(*pilot.claim())
    done = change(world, ana, running, timeout=HOUR, cores=4)
    assert (done.after.counts.running, done.after.counts.assigned) == (1, 4)
    answer = pilot.claim_answer(cpu=7)
    [grant] = answer.grants
    spec = answer.tasks[Revision(running, 2)]
    assert (grant.revision, spec.timeout, spec.resources.cores) == (2, HOUR, 4)


def test_retries_count_for_jobs_that_fail_from_now_on(
    world: World, ana: Caller, running: int
) -> None:
    pilot = world.pilot()
    first, second = pilot.claim(cpu=2)
    pilot.end(first, status=1)
    change(world, ana, running, retries=1)
    pilot.end(second, status=1)
    assert world.jobs(running)[:2] == [JobState.FAILED, JobState.ASSIGNED]


def test_a_limit_that_is_reached_holds_the_task_and_a_higher_one_does_not_release_it(
    world: World, ana: Caller, running: int
) -> None:
    pilot = world.pilot()
    pilot.end(*pilot.claim(cpu=2), status=1)
    assert change(world, ana, running, max_fails=Limit(2)).failures == 2
    world.conduct()
    held = change(world, ana, running, max_fails=Limit(4)).after.hold
    assert held
    assert held.cause is HoldCause.FAILURES
    lifecycle.apply(world.conn, running, TaskInput.RELEASE, by="ana")
    assert change(world, ana, running, max_fails=Limit(3)).failures == 0, "since the release"


def test_of_a_task_that_has_ended_they_count_for_its_retry(world: World, ana: Caller) -> None:
    task = world.task(2, test_jobs=0)
    world.run_all(failing=[1])
    assert world.state(task) is TaskState.FINALIZED
    change(world, ana, task, timeout=HOUR, retries=3)
    lifecycle.apply(world.conn, task, TaskInput.RETRY, by="ana")
    world.conduct(2)
    answer = world.pilot(is_root=True).claim_answer()
    assert [(g.key.index, g.revision) for g in answer.grants] == [(1, 2)]
    assert answer.tasks[Revision(task, 2)].timeout == HOUR


def test_a_node_that_kept_slots_for_wider_jobs_lets_them_go(world: World, ana: Caller) -> None:
    small = world.task(8, "user.ana.small", test_jobs=0)
    world.conduct(2)
    pilot = world.pilot()
    pilot.start(*pilot.claim(cpu=6))
    wide = world.task(1, "user.ana.wide", test_jobs=0, cores=4, priority=1)
    world.conduct(2)
    world.reserve()
    assert pilot.claim_answer(cpu=2).held_back
    assert pilot.claim(cpu=2) == ()
    change(world, ana, wide, cores=2)
    assert world.conn.execute("select count(*) from reservation").fetchone() == (0,)
    assert [grant.key.task_id for grant in pilot.claim(cpu=2)] == [wide]
    assert world.jobs(small).count(JobState.ASSIGNED) == 2
