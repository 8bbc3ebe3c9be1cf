"""Hours, planned drains and other settings of nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.models.nodes import Node, NodeSettings, SlotsWanted
from orchestra.domain.models.pilots import HeartbeatReply, Window
from orchestra.domain.models.work import Outcome
from orchestra.domain.resources import Room
from orchestra.domain.states import Cause, JobState
from orchestra.services import work
from orchestra.services.nodes import drains, hours, nodes
from support.people import as_admin
from support.world import Pilot, World

CPU, GPU = SlotsWanted("CPU"), SlotsWanted("GPU")
NIGHTS = "19:00-07:00,sat,sun"


def _set(conn: psycopg.Connection, **settings: Any) -> Node:
    return nodes.change(conn, as_admin(conn), "gauss", CPU, GPU, NodeSettings(**settings))


def _renew(pilot: Pilot, window: Window | None = None) -> HeartbeatReply:
    return work.renew(pilot.conn, pilot.node, pilot.agent, [pilot.keeper], window=window)


def _closed_now() -> str:
    """Hours, by UTC, of a day that is far away."""
    return f"{datetime.now(UTC) + timedelta(days=3):%a}"


def test_settings_reach_the_pilot_and_are_removed(world: World) -> None:
    pilot, conn = world.pilot(), world.conn
    node = _set(conn, memory_bytes=64, open_hours="SAT, 19-7", nice=10)
    assert (node.memory_bytes, node.open_hours, node.nice) == (64, "sat,19:00-07:00", 10)
    assert _renew(pilot).open_hours == "sat,19:00-07:00"
    assert work.attach(conn, world.hello()).open_hours == "sat,19:00-07:00"
    assert _set(conn, nice=5).open_hours == "sat,19:00-07:00", "what is left out stays"
    node = _set(conn, memory_bytes=0, open_hours="always", nice=0)
    assert (node.memory_bytes, node.open_hours, node.nice) == (None, None, 0)
    with pytest.raises(BadInput, match="neither days nor a range"):
        _set(conn, open_hours="nights")
    made = nodes.create(conn, as_admin(conn), "euler", CPU, GPU, NodeSettings(open_hours="sat"))
    assert made.open_hours == "sat"


def test_what_a_pilot_says_of_its_hours_is_shown(world: World) -> None:
    pilot, now = world.pilot(), datetime.now(UTC)
    _renew(pilot, Window(None, now, 3600))
    node = nodes.get(world.conn, "gauss")
    assert (node.opens_at, node.closes_at, node.utc_offset, node.keeps_hours) == (
        *(None, now),
        *(3600, True),
    )


def test_a_pilot_of_an_older_version_gets_no_hours(world: World) -> None:
    world.pilot()
    # It writes none of the columns that came after its schema.
    world.conn.execute("update pilot set agent = gen_random_uuid(), version = '0.2.0'")
    with pytest.raises(Refused, match=r"version 0\.2\.0, which does not keep to hours"):
        _set(world.conn, open_hours=NIGHTS)
    assert _set(world.conn, open_hours="always").keeps_hours is False
    world.conn.execute("update pilot set gone_at = now()")
    assert _set(world.conn, open_hours=NIGHTS).open_hours == NIGHTS


def test_jobs_that_new_hours_would_end_are_counted(world: World) -> None:
    pilot, me = world.pilot(), as_admin(world.conn)
    world.task(jobs=3, test_jobs=0)
    world.conduct()
    first, _ = pilot.claim(2)
    pilot.start(first)

    def ended(text: str) -> int:
        return hours.ended_by_hours(world.conn, me, "gauss", text)

    assert ended(_closed_now()) == 0, "its clock is not known, so no pilot keeps hours yet"
    _renew(pilot, Window(utc_offset=0))
    assert ended(_closed_now()) == 1
    assert ended(f"{datetime.now(UTC):%a},{datetime.now(UTC) + timedelta(minutes=1):%a}") == 0
    assert ended("always") == 0
    with pytest.raises(BadInput):
        ended("nights")


def test_a_job_that_its_node_ended_is_first_in_line_at_no_cost(world: World) -> None:
    pilot = world.pilot()
    task = world.task(jobs=2, test_jobs=0, retries=0)
    world.conduct()
    grant, other = pilot.claim(2)
    pilot.start(grant, other)
    reason = "ended because the node closed at 07:00"
    work.report(world.conn, pilot.keeper, [Outcome(other.key, Cause.CLOSED, reason=reason)])
    assert world.jobs(task) == [JobState.RUNNING, JobState.ASSIGNED]
    row = world.conn.execute(
        "select turn, failures, losses, not_before from job where task_id = %s and ordinal = 1",
        [task],
    ).fetchone()
    assert row == (0, 0, 0, None)
    (again,) = pilot.claim(2)
    assert again.key.index == 1


def test_a_test_job_that_its_node_ended_breaks_no_test(world: World) -> None:
    pilot = world.pilot()
    task = world.task(jobs=2, test_jobs=1)
    world.conduct()
    (grant,) = pilot.claim()
    pilot.start(grant)
    pilot.end(grant, cause=Cause.CLOSED)
    world.conduct(2)
    assert world.jobs(task)[0] is JobState.ASSIGNED
    assert world.column(task, "state") == "TESTING"


def test_a_node_takes_what_ends_in_time(world: World) -> None:
    pilot = world.pilot()
    long = world.task(jobs=5, name="user.ana.long", test_jobs=0, walltime=600, grace=30)
    short = world.task(jobs=5, name="user.ana.short", test_jobs=0, p95_seconds=80, grace=30)
    unknown = world.task(jobs=1, name="user.ana.unknown", test_jobs=0)
    world.conduct()

    def claim(seconds: float) -> list[int]:
        room, pilot.request = Room(cpus=8, seconds_left=seconds), pilot.request + 1
        answer = work.claim(world.conn, pilot.agent, pilot.keeper, pilot.request, room)
        pilot.end(*answer.grants, status=1)
        return sorted({grant.key.task_id for grant in answer.grants})

    assert claim(100) == [unknown]
    assert claim(100) == []
    assert claim(130) == [short]
    assert claim(629) == []
    assert claim(630) == [long]


def test_parts_of_gpus_and_the_slots_beside_them_are_in_use(world: World) -> None:
    pilot = world.pilot()
    world.task(3, test_jobs=0, queue="gpu", gpu_milli=500, cpus_gpu_job=2, memory_bytes=10)
    world.conduct()
    pilot.start(*pilot.claim(cpu=8, gpu=2))
    node = nodes.get(world.conn, "gauss")
    assert (node.cpu_in_use, node.gpu_in_use, node.memory_in_use) == (6, 2, 30)


def test_a_planned_drain_comes_when_its_moment_has_come(world: World) -> None:
    pilot, conn, me = world.pilot(), world.conn, as_admin(world.conn, "ana")
    world.task(jobs=3, test_jobs=0)
    world.conduct()
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    drains.drain(conn, me, "gauss", reason="new disk", at=in_an_hour)
    node = nodes.get(conn, "gauss")
    assert (node.drain_at, node.drain_at_by, node.drain_at_reason) == (
        in_an_hour,
        "ana",
        "new disk",
    )
    assert node.state == "online"
    reply = _renew(pilot)
    assert reply.drain_in == pytest.approx(3600, abs=60)
    assert any(reply.enabled.values())
    assert not drains.carry_out(conn)
    assert pilot.claim()

    conn.execute("update node set drain_at = now() - interval '1 s'")
    assert not pilot.claim(), "before the conductor has noted it"
    assert not any(_renew(pilot).enabled.values())
    assert drains.carry_out(conn)
    assert not drains.carry_out(conn)
    node = nodes.get(conn, "gauss")
    assert (node.drained_by, node.drain_reason, node.drain_at) == ("ana", "new disk", None)
    assert node.drained_at
    with pytest.raises(Refused, match="is drained already"):
        drains.drain(conn, me, "gauss", reason=None, at=in_an_hour)
    assert drains.resume(conn, me, "gauss")
    assert pilot.claim()
    events = conn.execute("select from_state, to_state, who, why from event where kind = 'node'")
    (planned, drained, resumed) = events.fetchall()
    assert planned[:3] == ("OPEN", "DRAINS", "ana")
    assert planned[3].endswith(": new disk")
    assert drained == ("DRAINS", "DRAINED", "ana", "new disk")
    assert resumed == ("DRAINED", "OPEN", "ana", None)


def test_a_planned_drain_is_called_off_or_replaced(world: World) -> None:
    world.pilot()
    conn, me = world.conn, as_admin(world.conn, "ana")
    later = datetime.now(UTC) + timedelta(days=1)
    for moment in (later, later + timedelta(hours=1)):
        drains.drain(conn, me, "gauss", reason=None, at=moment)
        assert nodes.get(conn, "gauss").drain_at == moment
    assert drains.resume(conn, me, "gauss")
    assert nodes.get(conn, "gauss").drain_at is None
    assert not drains.resume(conn, me, "gauss")
    drains.drain(conn, me, "gauss", reason=None, at=later)
    drains.drain(conn, me, "gauss", reason=None)
    node = nodes.get(conn, "gauss")
    assert node.drained_at
    assert node.drain_at is None
    drains.resume(conn, me, "gauss")
    with pytest.raises(BadInput, match="has passed"):
        drains.drain(conn, me, "gauss", reason=None, at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(BadInput, match="time zone"):
        drains.drain(conn, me, "gauss", reason=None, at=datetime(2036, 1, 1))  # noqa: DTZ001
