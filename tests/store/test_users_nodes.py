"""Users and nodes: what is refused, also for concurrent calls."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import pytest

from orchestra.domain.errors import AlreadyExists, BadInput, NotFound, Refused
from orchestra.domain.models.nodes import (
    NOTHING_FOUND,
    Device,
    FoundResources,
    NodeSettings,
    Slots,
    SlotsWanted,
)
from orchestra.domain.models.pilots import HeartbeatReply
from orchestra.services import work
from orchestra.services.nodes import drains, nodes
from orchestra.services.users import users
from orchestra.store.driver.database import connect
from orchestra.store.nodes import nodes as node_store
from support.people import as_admin, caller
from support.world import World

CPU, GPU = SlotsWanted("CPU", 2), SlotsWanted("GPU")


def test_the_first_person_is_the_administrator(conn: psycopg.Connection) -> None:
    assert users.create_own(conn, "ana", "a@b.org").is_admin
    assert not users.create_own(conn, "bob", "b@b.org").is_admin
    with pytest.raises(AlreadyExists):
        users.create_own(conn, "bob", "b@b.org")


def test_two_concurrent_commands_that_create_the_same_user(database_url: str) -> None:
    made: list[bool] = []

    def ensure() -> None:
        with connect(database_url) as conn:
            made.append(users.ensure(conn, "ana", "a@b.org")[1])

    threads = [threading.Thread(target=ensure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [False] * 7 + [True]


def test_a_user_with_data_sets_is_not_deleted(conn: psycopg.Connection) -> None:
    ana = World(conn).person("ana")
    conn.execute("insert into dataset (name, owner_id) values ('user.ana.x', %s)", [ana])
    with pytest.raises(Refused, match="still has 1 data set"):
        users.delete(conn, caller(conn, "ana"), "ana")
    conn.execute("update dataset set deleted_at = now()")
    users.delete(conn, caller(conn, "ana"), "ana")
    assert users.everybody(conn) == []
    with pytest.raises(NotFound):
        users.delete(conn, as_admin(conn, "root"), "ana")


def test_a_user_whose_deleted_files_others_use_is_not_deleted(conn: psycopg.Connection) -> None:
    world = World(conn)
    bob = world.person("bob")
    conn.execute(
        "insert into dataset (name, owner_id, deleted_at) values ('user.bob.x', %s, now())", [bob]
    )
    version = world.dataset_version(3)
    conn.execute(
        "update dataset_version set dataset_id = (select id from dataset) where id = %s", [version]
    )
    world.task(3, config_version_id=version)
    with pytest.raises(Refused, match="inputs of other people's tasks"):
        users.delete(conn, as_admin(conn), "bob")
    files = conn.execute("select count(*) from dataset_file where version_id = %s", [version])
    assert files.fetchone() == (3,), "a refusal takes nothing away"


@pytest.mark.parametrize(
    ("enabled", "maximum", "slots"), [(None, None, (0, 0)), (3, None, (3, 3)), (0, 4, (0, 4))]
)
def test_slots_of_a_new_node(
    enabled: int | None, maximum: int | None, slots: tuple[int, int]
) -> None:
    assert SlotsWanted("CPU", enabled, maximum).new() == Slots(*slots)


@pytest.mark.parametrize(
    ("enabled", "maximum"), [(4, 2), (-1, 2), (-1, None), (1, -1), (10**9, None)]
)
def test_slots_that_cannot_be(enabled: int, maximum: int | None) -> None:
    with pytest.raises(BadInput):
        SlotsWanted("CPU", enabled, maximum).new()
    with pytest.raises(BadInput):
        SlotsWanted("CPU", enabled, maximum).over(Slots(1, 2))


def test_change_keeps_what_was_not_said(conn: psycopg.Connection) -> None:
    nodes.create(conn, as_admin(conn), "gauss", SlotsWanted("CPU", 4, 8), SlotsWanted("GPU", 1, 2))
    node = nodes.change(conn, as_admin(conn), "gauss", SlotsWanted("CPU", 6), SlotsWanted("GPU"))
    assert (node.cpu, node.gpu) == (Slots(6, 8), Slots(1, 2))
    with pytest.raises(BadInput):
        nodes.change(
            conn, as_admin(conn), "gauss", SlotsWanted("CPU", maximum=5), SlotsWanted("GPU")
        )


def test_labels_are_added_replaced_and_removed(conn: psycopg.Connection) -> None:
    me = as_admin(conn)
    node = nodes.create(conn, me, "gauss", CPU, GPU, NodeSettings({"Rack": "3", "ssd": "yes"}))
    assert node.labels == {"rack": "3", "ssd": "yes"}
    node = nodes.change(conn, me, "gauss", CPU, GPU, NodeSettings({"rack": "", "gpu": "a100"}))
    assert node.labels == {"gpu": "a100", "ssd": "yes"}
    assert nodes.change(conn, me, "gauss", CPU, GPU).labels == node.labels
    for wrong in ({"node": "x"}, {"rack": "3,4"}, {"": "3"}):
        with pytest.raises(BadInput, match="cannot be a label"):
            nodes.change(conn, me, "gauss", CPU, GPU, NodeSettings(wrong))
        with pytest.raises(BadInput, match="cannot be a label"):
            nodes.create(conn, me, "euler", CPU, GPU, NodeSettings(wrong))
    assert nodes.find(conn, "euler") is None


def test_draining_and_slots_reach_the_pilot_at_its_next_renewal(conn: psycopg.Connection) -> None:
    pilot = World(conn).pilot("gauss")

    def standing() -> HeartbeatReply:
        return work.renew(conn, pilot.node, pilot.agent, [pilot.keeper])

    nodes.change(conn, as_admin(conn), "gauss", SlotsWanted("CPU", 3), SlotsWanted("GPU", 0))
    before = standing()
    drains.drain(conn, as_admin(conn), "gauss", reason=None)
    drained = standing()
    assert drained != before
    assert drains.resume(conn, as_admin(conn), "gauss")
    assert not drains.resume(conn, as_admin(conn), "gauss")
    assert standing() == before
    assert nodes.stop(conn, as_admin(conn), "gauss")
    assert standing() != before


def test_what_is_claimed_ahead_takes_no_slot(conn: psycopg.Connection) -> None:
    world = World(conn)
    pilot = world.pilot("gauss")  # 8 slots
    world.task(20, test_jobs=0)
    world.conduct(2)
    grants = pilot.claim(cpu=12)
    assert len(grants) == 12
    assert nodes.get(conn, "gauss").cpu_in_use == 8
    pilot.start(*grants[:5])
    assert nodes.get(conn, "gauss").cpu_in_use == 8
    nodes.change(conn, as_admin(conn), "gauss", SlotsWanted("CPU", 3), SlotsWanted("GPU", 0))
    assert nodes.get(conn, "gauss").cpu_in_use == 5  # they run on
    pilot.end(*grants)
    assert nodes.get(conn, "gauss").cpu_in_use == 0


def test_an_unknown_node_is_reported_by_name(conn: psycopg.Connection) -> None:
    nodes.create(conn, as_admin(conn), "caloba21", CPU, GPU)
    with pytest.raises(NotFound, match='Did you mean "caloba21"'):
        nodes.get(conn, "caloba2")
    assert nodes.find(conn, "caloba2") is None


def test_what_an_agent_finds_is_known_from_its_first_look_on(conn: psycopg.Connection) -> None:
    world = World(conn)
    gpu = Device("GPU-1\udcff", "NVIDIA A100", 40 * 10**9)
    first = FoundResources(8, 64 * 10**9, None, "x86_64", (gpu,))
    stored = replace(first, devices=(replace(gpu, uuid="GPU-1\\udcff"),))

    def found() -> FoundResources:
        node = node_store.by_name(conn, "gauss")
        assert node
        return node.found

    pilot = world.pilot()
    assert found() == NOTHING_FOUND
    renewed = partial(work.renew, conn, pilot.node)
    conn.execute("update node set memory_bytes = 1000")
    assert renewed(pilot.agent, [pilot.keeper], found=first).memory_bytes == 1000
    assert found() == stored
    renewed(pilot.agent, [pilot.keeper])
    pilot = world.pilot()
    assert found() == stored, "the next agent has not looked yet"
    renewed(pilot.agent, [pilot.keeper], found=NOTHING_FOUND)
    assert found() == NOTHING_FOUND
    world.pilot(found=first)
    assert found() == stored
    elsewhere: dict[str, Any] = {"machine_id": "another", "host": "another"}
    conn.execute("update pilot set gone_at = now()")
    world.pilot(**elsewhere)
    assert found() == NOTHING_FOUND
