"""What attempts took, by day: exact up to the last one that ended, whoever recorded its end, and kept for good."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.models.accounts import UsageKey
from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.work import Grant, Outcome
from orchestra.domain.states import Cause
from orchestra.domain.usage import Usage
from orchestra.interface.usage import ListUsage
from orchestra.services import work
from orchestra.services.nodes import nodes
from orchestra.store.schema import migrate
from support.people import as_admin
from support.site import Site
from support.world import Pilot, World

WAYS = {
    Cause.EXIT: "failed",
    Cause.SIGNAL: "failed",
    Cause.OUT_OF_MEMORY: "failed",
    Cause.GPU_OUT_OF_MEMORY: "failed",
    Cause.TIMEOUT: "failed",
    Cause.NOT_COMPLETE: "failed",
    Cause.ENDED: "killed",
}
"""How an accepted outcome is counted; every other cause is a loss."""

# As the statement of 0.2.0 does, which knows no column `counted`.
_OLD_END = """
update attempt set ended_at = now(), cause = %(cause)s, accepted = true, exit_status = %(status)s,
    seconds = %(seconds)s, cpu_seconds = 1.5
where (task_id, ordinal, number) = (%(task)s, %(index)s, %(number)s)
"""
_OLD_LOSS = """
update attempt set ended_at = null, lost_at = started_at + interval '10 s'
where (task_id, ordinal, number) = (%(task)s, %(index)s, %(number)s)
"""


def key(grant: Grant) -> dict[str, Any]:
    return {"task": grant.key.task_id, "index": grant.key.index, "number": grant.key.number}


def report(pilot: Pilot, grant: Grant, cause: Cause = Cause.EXIT, **values: Any) -> None:
    work.report(pilot.conn, pilot.keeper, [Outcome(grant.key, cause, **values)])


def total(world: World, column: str) -> float:
    assert world.usage() == world.true_usage()
    return float(world._one(f"select coalesce(sum({column}), 0) from usage_daily"))


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_counted_in_its_way(world: World, cause: Cause) -> None:
    assert world._one("select way_of_ending(%s, 1, true)", cause) == WAYS.get(cause, "lost")
    assert world._one("select way_of_ending(%s, 1, false)", cause) == "lost"


def test_an_attempt_is_counted_with_what_it_held_and_used(world: World) -> None:
    task = world.task(jobs=1, test_jobs=0, cores=3, memory_bytes=1000)
    world.conduct(2)
    pilot = world.pilot()
    [grant] = pilot.claim(cpu=8)
    pilot.start(grant)
    assert world.usage() == {}
    report(pilot, grant, exit_status=0, seconds=20.0, usage=Usage(30.0, 500, 7.0))
    [(place, figures)] = world.usage().items()
    assert place[1:] == (task, 1, pilot.node)
    assert list(figures) == [3, 0, 1000, 1, 1, 0, 0, 20, 0, 0, 30, 7, 500 * 20]
    assert world.true_usage() == world.usage()
    names = world.conn.execute("select task, owner, node, queue::text from usage_daily").fetchone()
    assert names == ("user.ana.task", "ana", "gauss", "cpu")


def test_an_exclusive_job_holds_all_of_its_node(world: World) -> None:
    world.task(jobs=1, test_jobs=0, exclusive=True)
    world.conduct(2)
    pilot = world.pilot()
    [grant] = pilot.claim(cpu=8)
    report(pilot, grant, exit_status=0, seconds=1.0)
    assert world.conn.execute("select cpus, gpu_milli from usage_daily").fetchall() == [(8, 2000)]


def test_a_loss_is_waste_until_its_outcome_arrives(world: World, running: int) -> None:
    pilot = world.pilot()
    grant, other, *_ = pilot.claim(cpu=2)
    pilot.start(grant, other)
    world.conn.execute("update attempt set started_at = now() - interval '100 s'")
    nodes.lose(world.conn, as_admin(world.conn), "gauss", force=True)
    assert total(world, "lost") == 2
    assert total(world, "lost_seconds") == pytest.approx(200, abs=1)
    report(pilot, grant, exit_status=0, seconds=90.0)
    assert (total(world, "lost"), total(world, "done"), total(world, "attempts")) == (1, 1, 2)
    assert total(world, "seconds") == pytest.approx(190, abs=1)
    report(pilot, grant, exit_status=0, seconds=90.0)  # repeated
    assert total(world, "attempts") == 2
    keeper = KeeperHello(uuid4(), "machine-gauss", "boot-1", 4711, "0", work.PROTOCOL)
    work.register_keeper(world.conn, pilot.node, keeper)
    late, pilot.keeper = pilot.keeper, keeper.id
    [again] = [g for g in pilot.claim(cpu=8) if g.key.index == other.key.index]
    pilot.end(again)
    pilot.keeper = late
    report(pilot, other, exit_status=0, seconds=95.0)  # its job is done already
    assert (total(world, "lost"), total(world, "done")) == (1, 2)
    assert total(world, "lost_seconds") == pytest.approx(95)


def test_nothing_is_counted_that_never_had_a_process(world: World, running: int) -> None:
    pilot = world.pilot()
    for cause in (Cause.RETURNED, Cause.INPUT, Cause.NO_START, Cause.UNHEARD):
        for grant in pilot.claim():
            report(pilot, grant, cause, reason="so")
    assert world.usage() == {} == world.true_usage()


def test_ends_that_pilots_of_schema_15_record_are_counted(world: World, running: int) -> None:
    pilot = world.pilot()
    done, failed, lost, late, _ = pilot.claim(cpu=5)
    pilot.start(done, failed, lost, late)
    status = {"cause": "exit", "status": 0, "seconds": 5.0}
    world.conn.execute(_OLD_END, key(done) | status)
    world.conn.execute(_OLD_END, key(failed) | status | {"status": 1})
    for grant in (lost, late):
        world.conn.execute(_OLD_LOSS, key(grant))
    assert (total(world, "done"), total(world, "failed"), total(world, "lost")) == (1, 1, 2)
    assert total(world, "lost_seconds") == pytest.approx(20)
    world.conn.execute(_OLD_END, key(late) | status)
    assert (total(world, "attempts"), total(world, "done"), total(world, "lost")) == (4, 2, 1)
    assert (total(world, "seconds"), total(world, "cpu_seconds")) == (25, 4.5)


def test_it_is_kept_when_the_task_and_the_node_are_deleted(world: World) -> None:
    task = world.task(jobs=3, test_jobs=0)
    world.run_all()
    before = world.usage()
    for table in ("attempt", "job", "task_input", "task_count"):
        world.conn.execute(f"delete from {table} where task_id = %s", [task])
    world.conn.execute("delete from task where id = %s", [task])
    world.conn.execute("delete from keeper")
    world.conn.execute("delete from node")
    assert world.usage() == before
    assert world._one("select min(owner || ' ' || node) from usage_daily") == "ana gauss"


def test_an_upgrade_counts_what_ended_before(world: World) -> None:
    task = world.task(jobs=4, test_jobs=0, retries=1, cores=2)
    world.run_all(failing={1})
    assert world.state(task) is not None
    expected = world.usage()
    world.conn.execute("delete from usage_daily")
    text = next(Path(migrate.__file__).parent.glob("migrations/0018*")).read_text(encoding="utf-8")
    world.conn.execute(text[text.index("-- What has ended so far.") :])
    assert world.usage() == expected != {}


_DAY = """
insert into usage_daily values
    (%s, %s, 1, %s, %s, %s, %s, %s, %s, %s, 1000000000, 2, 1, 1, 0, %s, 900, 0, 360, 0, 3600)
"""


@pytest.fixture
def months(world: World) -> World:
    """Usage of two users, one of whom is deleted, on two nodes in two months."""
    for day, task, node, owner, queue, cpus, milli, seconds in (
        ("2026-10-31", 1, 1, "ana", "cpu", 2, 0, 3600.0),
        ("2026-11-01", 1, 2, "ana", "cpu", 2, 0, 7200.0),
        ("2026-11-02", 2, 1, "zoe", "gpu", 0, 500, 3600.0),
    ):
        names = (f"user.{owner}.t{task}", owner, f"node{node}")
        world.conn.execute(_DAY, [day, task, node, *names, queue, cpus, milli, seconds])
    return world


def test_usage_is_summed_by_what_is_asked_for(months: World) -> None:
    ask = months.interface()
    found = ask(ListUsage())
    assert [(row.user, row.month, row.used.cpu_requested) for row in found.rows] == [
        ("ana", "2026-10", 7200),
        ("ana", "2026-11", 14400),
        ("zoe", "2026-11", 0),
    ]
    assert found.total.gpu_requested == 1800
    assert found.total.failed_gpu == 450
    assert (found.total.attempts, found.total.cpu_used) == (6, 1080)
    by_node = ask(ListUsage((UsageKey.NODE, UsageKey.TASK), since=date(2026, 11, 1))).rows
    assert [(row.node, row.task, row.task_id) for row in by_node] == [
        ("node1", "user.zoe.t2", 2),
        ("node2", "user.ana.t1", 1),
    ]
    [only] = ask(ListUsage((UsageKey.QUEUE,), until=date(2026, 10, 31), user="ana")).rows
    assert (only.queue, only.used.seconds) == ("cpu", 3600)
    assert ask(ListUsage((UsageKey.DAY,), user="zoe")).rows[0].day == "2026-11-02"
    for wrong in (ListUsage(()), ListUsage(since=date(2026, 11, 2), until=date(2026, 11, 1))):
        with pytest.raises(BadInput):
            ask(wrong)
    with pytest.raises(NotFound, match='no user "zo"'):
        ask(ListUsage(user="zo"))


def test_the_page_and_its_downloads(months: World) -> None:
    site = Site(months.conn, "ana")
    shown = site.get("/usage")
    assert "ana 2026-10 1 2 2.0 0.1 0 0 1.0" in shown.text
    assert "Total 3 6 6.0 0.3 0.5 0" in shown.text
    assert "CPU hours requested by day" in shown.text
    assert "/api/v1/usage.csv" in shown.links
    csv = site.get("/api/v1/usage.csv", by="task", user="zoe").html.splitlines()
    assert csv[0].startswith("task_id,task,jobs_done,attempts,")
    assert csv[1].startswith("2,user.zoe.t2,1,2,1,0,1.0,0.0")
    wrong = site.get("/usage", by="usr")
    assert wrong.status == 422
    assert 'Did you mean "user"?' in wrong.text
    assert site.get("/usage", user="<x>").status == 422
    assert "No such usage." in site.get("/usage", since="2027").text
