"""The causes of holds, as written by programs of this version and the previous one."""

from __future__ import annotations

from pathlib import Path

from orchestra.domain.models.tasks import Hold
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause, HoldCause
from orchestra.domain.transitions import TaskInput
from orchestra.services import work
from orchestra.services.tasks import lifecycle
from orchestra.store.schema import migrations
from orchestra.store.tasks import tasks
from support.world import World

# As in the previous version.
OLDER_HOLD = "update task set held_at = now(), held_by = %s, held_reason = %s where id = %s and held_at is null"
OLDER_RELEASE = "update task set held_at = null, held_by = null, held_reason = null where id = %s"


def hold(world: World, task: int) -> Hold:
    found = tasks.by_id(world.conn, task)
    assert found
    assert found.hold
    return found.hold


def test_each_hold_records_its_cause_whatever_its_reason(world: World) -> None:
    world.person("orchestra")
    mine = world.task(jobs=2, name="user.ana.mine", test_jobs=0)
    failing = world.task(jobs=9, name="user.ana.failing", test_jobs=0, max_fails=1)
    changed = world.task(jobs=2, name="user.ana.changed", test_jobs=0)
    why = "so that --max-fails is not reached"
    lifecycle.apply(world.conn, mine, TaskInput.HOLD, by="orchestra", why=why)
    world.conduct(2)
    pilot = world.pilot()
    for grant in {grant.key.task_id: grant for grant in pilot.claim(cpu=16)}.values():
        cause = Cause.EXIT if grant.key.task_id == failing else Cause.INPUT
        status = 1 if cause is Cause.EXIT else None
        outcome = Outcome(grant.key, cause, exit_status=status, reason="--max-fails.json is gone")
        work.report(world.conn, pilot.keeper, [outcome])
    world.conduct()
    causes = {task: hold(world, task).cause for task in (mine, failing, changed)}
    assert causes == {
        mine: HoldCause.PERSON,
        failing: HoldCause.FAILURES,
        changed: HoldCause.FILES,
    }


def test_a_hold_of_an_older_program_has_no_cause_of_an_earlier_one(world: World) -> None:
    task = world.task(jobs=2, test_jobs=0)
    lifecycle.apply(world.conn, task, TaskInput.HOLD, by="ana", why="lunch")
    world.conn.execute(OLDER_RELEASE, [task])
    world.conn.execute(OLDER_HOLD, ["orchestra", "/d/c has changed", task])
    assert hold(world, task).cause is HoldCause.FILES
    lifecycle.apply(world.conn, task, TaskInput.RELEASE, by="ana")
    world.conn.execute(OLDER_HOLD, ["bob", "held by hand", task])
    assert hold(world, task).cause is HoldCause.PERSON


def test_the_upgrade_notes_what_tasks_are_held_for(world: World) -> None:
    held = {
        ("orchestra", "2 of 9 jobs failed, as many as --max-fails allows"): HoldCause.FAILURES,
        ("orchestra", "/d/c has changed"): HoldCause.FILES,
        ("ana", "held by hand"): HoldCause.PERSON,
    }
    made = [world.task(jobs=2, name=f"user.ana.{number}") for number in range(len(held))]
    for task, (by, why) in zip(made, held, strict=True):
        world.conn.execute(OLDER_HOLD, [by, why, task])
    (migration,) = Path(migrations.__path__[0]).glob("*[0-9]_troubles.sql")
    upgrade = migration.read_text()
    world.conn.execute(upgrade[upgrade.index("update task set") :])
    assert [hold(world, task).cause for task in made] == list(held.values())
