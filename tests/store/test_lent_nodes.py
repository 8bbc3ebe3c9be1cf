"""Nodes of pilots in allocations: made when one joins, gone with it, and from then on only a name."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from orchestra.domain.errors import OrchestraError, Refused
from orchestra.domain.labels import labels_of
from orchestra.domain.models.nodes import Device, FoundResources, SlotsWanted
from orchestra.domain.models.pilots import (
    AllocationNews,
    HeartbeatReply,
    KeeperHello,
    PilotHello,
)
from orchestra.domain.models.pools import AllocationHello
from orchestra.domain.states import JobState, Queue
from orchestra.services import work
from orchestra.services.nodes import drains, nodes
from orchestra.store.cluster import figures, retention
from orchestra.store.mail import outbox
from orchestra.store.nodes import queues, reservations
from support.people import as_admin
from support.world import Pilot, World

FOUND = FoundResources(cpus=4, memory_bytes=2**33)


@dataclass
class Lab:
    """A pool `mesh` of ana, and its allocations."""

    world: World

    def __post_init__(self) -> None:
        self.pool = self.world._one(
            "insert into pool (name, engine, owner_id, spec, max_pilots, max_pending, min_work, idle) "
            "values ('mesh', 'slurm', %s, '{\"queue\": \"cpu\"}', 10, 4, 0, 90) returning id",
            self.world.person("ana"),
        )

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            self.world.conn.execute(f"update pool set {name} = %s", [value])

    def allocation(self, state: str = "PENDING", nodes: int = 1) -> UUID:
        return UUID(
            str(
                self.world._one(
                    "insert into allocation (id, pool_id, state, nodes, ended_at) "
                    "values (%s, %s, %s, %s, case when %s = 'ENDED' then now() end) returning id",
                    uuid4(), self.pool, state, nodes, state,
                )
            )
        )  # fmt: skip

    def hello(self, allocation: UUID, host: str = "n1", **changes: Any) -> PilotHello:
        lent = AllocationHello(allocation, "17", 0, host, changes.pop("ends_at", None))
        return self.world.hello(
            f"mesh-17-{host}", **{"allocation": lent, "found": FOUND, **changes}
        )

    def join(self, allocation: UUID, host: str = "n1", **changes: Any) -> HeartbeatReply:
        return work.attach(self.world.conn, self.hello(allocation, host, **changes))

    def pilot(self, allocation: UUID, host: str = "n1", **changes: Any) -> Pilot:
        """A pilot that has joined, with a keeper."""
        hello = self.hello(allocation, host, **changes)
        reply = work.attach(self.world.conn, hello)
        pilot = Pilot(self.world.conn, reply.node_id, hello.agent, uuid4())
        keeper = KeeperHello(
            pilot.keeper, hello.machine_id, hello.boot_id, 4711, "0", work.PROTOCOL
        )
        work.register_keeper(self.world.conn, reply.node_id, keeper)
        return pilot

    def renew(self, pilot: Pilot, allocation: UUID, **news: Any) -> HeartbeatReply:
        changed = news.pop("found", None)
        said = AllocationNews(allocation, **news)
        return work.renew(
            self.world.conn, pilot.node, pilot.agent, [pilot.keeper], found=changed, news=said
        )

    def leave(self, pilot: Pilot, allocation: UUID) -> None:
        news = AllocationNews(allocation)
        work.detach(self.world.conn, pilot.node, pilot.agent, [pilot.keeper], news)

    def of(self, allocation: UUID, column: str = "state") -> Any:
        return self.world._one(f"select {column} from allocation where id = %s", allocation)


@pytest.fixture
def lab(world: World) -> Lab:
    return Lab(world)


@pytest.mark.parametrize("state", ["SUBMITTING", "PENDING", "STARTING", "UNKNOWN"])
def test_a_pilot_that_joins_makes_its_node_and_the_allocation_serves(lab: Lab, state: str) -> None:
    allocation = lab.allocation(state)
    end = datetime.now(UTC) + timedelta(hours=1)
    reply = lab.join(allocation, ends_at=end)
    assert reply.enabled == {Queue.CPU: 4, Queue.GPU: 0}
    assert reply.idle == 90.0
    node = nodes.get(lab.world.conn, "mesh-17-n1")
    assert (node.owner, node.pool, node.ends_at) == ("ana", "mesh", end)
    assert labels_of(node)["pool"] == "mesh"
    assert lab.of(allocation) == "SERVING"
    assert lab.of(allocation, "engine_id") == "17"
    assert lab.of(allocation, "ends_at") == end
    assert lab.join(allocation).node_id == node.id, "it may be repeated"


def test_slots_are_what_the_pilot_finds_and_no_more_than_somebody_enables(lab: Lab) -> None:
    lab.set(spec=json.dumps({"queue": "gpu", "gpus": 2}))
    allocation = lab.allocation()
    pilot = lab.pilot(allocation)
    devices = (Device("GPU-1"), Device("GPU-2"), Device("GPU-3"))
    found = FoundResources(cpus=8, memory_bytes=2**33, devices=devices)
    assert lab.renew(pilot, allocation).enabled == {Queue.CPU: 4, Queue.GPU: 2}
    assert lab.renew(pilot, allocation, found=found).enabled == {Queue.CPU: 8, Queue.GPU: 2}
    nodes.change(
        lab.world.conn,
        as_admin(lab.world.conn),
        "mesh-17-n1",
        SlotsWanted("CPU", 2),
        SlotsWanted("GPU"),
    )
    more = FoundResources(cpus=16, memory_bytes=2**33, devices=devices)
    lab.set(spec=json.dumps({"queue": "gpu"}))
    assert lab.renew(pilot, allocation, found=more).enabled == {Queue.CPU: 2, Queue.GPU: 3}


def test_who_may_not_join(lab: Lab) -> None:
    for allocation in (lab.allocation("ENDED"), uuid4()):
        with pytest.raises(Refused, match=r"has ended|no pool has"):
            lab.join(allocation)
    lab.join(lab.allocation())
    with pytest.raises(Refused, match="only the pilot in its allocation"):
        work.attach(lab.world.conn, lab.world.hello("mesh-17-n1"))


def test_a_job_id_that_the_engine_gives_again_makes_another_node(lab: Lab) -> None:
    first, second = lab.allocation(), lab.allocation()
    one, other = lab.join(first).node_id, lab.join(second).node_id
    assert one != other
    assert (lab.join(first).node_id, lab.join(second).node_id) == (one, other)
    names = [node.name for node in nodes.everything(lab.world.conn)]
    assert names == ["mesh-17-n1", f"mesh-17-n1-{second.hex[:6]}"]


def test_what_a_node_in_an_allocation_offers(lab: Lab, running: int) -> None:
    end = datetime.now(UTC) + timedelta(minutes=30)
    lab.pilot(lab.allocation(), ends_at=end)
    conn = lab.world.conn
    (offer,) = queues.offers(conn, Queue.CPU)
    assert (offer.enabled, offer.leaving) == (4, False)
    assert offer.seconds_left == pytest.approx(29 * 60, abs=10)
    assert queues.offers(conn, Queue.GPU)[0].enabled == 0
    (serving,) = reservations.serving_nodes(conn).nodes
    assert serving.offer.only is Queue.CPU
    assert serving.host.capacity.seconds_left == pytest.approx(29 * 60, abs=10)
    conn.execute("update allocation set state = 'LEAVING'")
    assert queues.offers(conn, Queue.CPU)[0].leaving
    assert not reservations.serving_nodes(conn).nodes


def test_a_node_is_gone_with_its_pilot_and_the_allocation_with_the_last_one(lab: Lab) -> None:
    allocation = lab.allocation(nodes=2)
    first = lab.pilot(allocation, "n1")
    lab.leave(first, allocation)
    assert lab.of(allocation) == "SERVING", "the other machine has not come yet"
    second = lab.pilot(allocation, "n2")
    lab.leave(second, allocation)
    assert lab.of(allocation) == "ENDED"
    assert lab.of(allocation, "ended_at") is not None
    with pytest.raises(OrchestraError, match="has ended"):
        lab.join(allocation, "n2")
    lab.join(allocation, "n2", successor=True)
    assert lab.of(allocation) == "ENDED", "who comes to end what is left changes nothing"
    lab.world.conn.execute("delete from pool")
    assert lab.join(allocation, "n2", successor=True).idle is None


def test_a_node_that_holds_attempts_is_not_gone(lab: Lab, running: int) -> None:
    allocation = lab.allocation()
    pilot = lab.pilot(allocation, is_root=True)
    pilot.start(*pilot.claim())
    lab.leave(pilot, allocation)
    assert lab.of(allocation) == "SERVING"
    assert lab.world.jobs(running)[0] is JobState.RUNNING


def test_an_agent_that_another_one_has_replaced_ends_nothing(lab: Lab) -> None:
    allocation = lab.allocation()
    first = lab.pilot(allocation)
    lab.pilot(allocation)
    lab.leave(first, allocation)
    assert lab.of(allocation) == "SERVING"


def test_a_pilot_is_told_to_leave_as_its_allocation_or_pool_ends(lab: Lab) -> None:
    allocation = lab.allocation()
    pilot = lab.pilot(allocation)
    conn = lab.world.conn

    def told() -> tuple[bool, bool, float | None]:
        reply = lab.renew(pilot, allocation)
        return reply.leave, reply.leave_now, reply.idle

    assert told() == (False, False, 90.0)
    conn.execute("update allocation set state = 'LEAVING'")
    assert told() == (True, False, 90.0)
    conn.execute("update allocation set state = 'ENDED', ended_at = now()")
    assert told() == (True, True, 90.0)
    conn.execute("update allocation set state = 'SERVING', ended_at = null")
    lab.set(deletion="drain")
    assert told() == (True, False, 90.0)
    lab.set(deletion="now")
    assert told() == (True, True, 90.0)
    conn.execute("delete from pool")
    assert told() == (False, False, None), "a pilot without a pool ends"


@pytest.mark.parametrize("state", ["LEAVING", "ENDED"])
def test_nothing_is_claimed_in_an_allocation_that_ends(lab: Lab, running: int, state: str) -> None:
    allocation = lab.allocation()
    pilot = lab.pilot(allocation, is_root=True)
    assert len(pilot.claim()) == 1
    lab.world.conn.execute(
        "update allocation set state = %s, ended_at = case when %s = 'ENDED' then now() end",
        [state, state],
    )
    assert pilot.claim() == ()


def test_what_a_pilot_learns_of_its_allocation_is_recorded(lab: Lab) -> None:
    allocation = lab.allocation()
    pilot = lab.pilot(allocation)
    end = datetime.now(UTC) + timedelta(hours=2)
    lab.renew(pilot, allocation, ends_at=end)
    assert lab.of(allocation, "ends_at") == end
    assert lab.of(allocation, "first_job_at") is None
    lab.renew(pilot, allocation, has_run=True)
    first = lab.of(allocation, "first_job_at")
    lab.renew(pilot, allocation, has_run=True)
    assert lab.of(allocation, "first_job_at") == first is not None


def test_an_idle_pilot_leaves_unless_too_few_would_stay(lab: Lab) -> None:
    first, second = lab.allocation(), lab.allocation()
    lab.set(min_pilots=1)
    one = lab.pilot(first)
    conn = lab.world.conn
    assert not work.ask_to_leave(conn, one.node), "the other one may wait for long"
    two = work.attach(
        conn, lab.world.hello("mesh-18-n2", allocation=AllocationHello(second, "18", 0, "n2"))
    )
    assert work.ask_to_leave(conn, one.node)
    assert lab.of(first) == "LEAVING"
    assert work.ask_to_leave(conn, one.node), "it may be repeated"
    assert not work.ask_to_leave(conn, two.node_id)
    lab.set(deletion="drain")
    assert work.ask_to_leave(conn, two.node_id)


def test_machines_of_one_allocation_leave_together(lab: Lab, running: int) -> None:
    allocation = lab.allocation(nodes=2)
    one, two = lab.pilot(allocation, "n1", is_root=True), lab.pilot(allocation, "n2")
    grants = one.claim()
    assert not work.ask_to_leave(lab.world.conn, two.node)
    one.start(*grants)
    one.end(*grants)
    assert one.claim()
    assert not work.ask_to_leave(lab.world.conn, two.node)
    lab.world.conn.execute(
        "update pilot set seen_at = now() - interval '1 hour' where node_id = %s", [one.node]
    )
    assert work.ask_to_leave(lab.world.conn, two.node)
    assert lab.renew(one, allocation).leave


def _gone(lab: Lab) -> Pilot:
    """A pilot that has run a job of a task, and has left."""
    allocation = lab.allocation()
    pilot = lab.pilot(allocation, is_root=True)
    grants = pilot.claim()
    pilot.start(*grants)
    pilot.end(*grants)
    lab.leave(pilot, allocation)
    return pilot


def test_nobody_counts_a_node_that_is_gone_and_attempts_keep_its_name(
    lab: Lab, running: int
) -> None:
    _gone(lab)
    conn = lab.world.conn
    assert nodes.everything(conn) == []
    assert nodes.pilots(conn) == []
    assert queues.offers(conn, Queue.CPU) == []
    assert reservations.serving_nodes(conn).nodes == []
    assert figures.read(conn).nodes == 0
    assert nodes.get(conn, "mesh-17-n1").gone_at is not None
    (node,) = conn.execute(
        "select n.name from attempt a join node n on n.id = a.node_id where a.task_id = %s",
        [running],
    ).fetchone() or (None,)
    assert node == "mesh-17-n1"


def test_nobody_changes_a_node_that_is_gone(lab: Lab, running: int) -> None:
    _gone(lab)
    conn, admin = lab.world.conn, as_admin(lab.world.conn)
    for change in (
        lambda: nodes.change(conn, admin, "mesh-17-n1", SlotsWanted("CPU", 1), SlotsWanted("GPU")),
        lambda: nodes.lose(conn, admin, "mesh-17-n1"),
        lambda: drains.drain(conn, admin, "mesh-17-n1", reason=None),
    ):
        with pytest.raises(Refused, match="is gone: its allocation has ended"):
            change()
    nodes.delete(conn, admin, "mesh-17-n1")


def test_a_silent_pilot_of_a_pool_is_missed_only_where_it_holds_jobs(
    lab: Lab, running: int
) -> None:
    allocation = lab.allocation()
    pilot = lab.pilot(allocation, is_root=True)
    conn = lab.world.conn
    conn.execute(
        "insert into leader (duty, holder, expires, held_since) values ('conductor', gen_random_uuid(), now(), "
        "now() - interval '1 day') on conflict (duty) do update set held_since = excluded.held_since"
    )
    conn.execute("update pilot set seen_at = now() - interval '1 hour'")
    assert outbox.silent_pilots(conn, 600.0) == []
    pilot.start(*pilot.claim())
    assert [each.node for each in outbox.silent_pilots(conn, 600.0)] == ["mesh-17-n1"]


def test_nodes_that_are_gone_are_deleted_with_the_last_task_that_ran_there(
    lab: Lab, running: int
) -> None:
    _gone(lab)
    conn = lab.world.conn
    lab.world.pilot("gauss")

    def names(after: int = 0) -> list[str]:
        assert retention.delete_nodes(conn, 0.0, after) is None
        return [row[0] for row in conn.execute("select name from node order by 1")]

    assert names() == ["gauss", "mesh-17-n1"], "not for a month"
    conn.execute("update node set gone_at = gone_at - interval '40 days' where gone_at is not null")
    conn.execute("update node set created_at = created_at - interval '40 days'")
    conn.execute("update usage_daily set day = day - 40")
    assert names() == ["gauss", "mesh-17-n1"], "a task has an attempt there"
    conn.execute("update usage_daily set task_id = 4711")
    assert names() == ["gauss"]
