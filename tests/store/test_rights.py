"""Who may change what: users, nodes and pilots, and who is an admin."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotAllowed, NotFound, Refused
from orchestra.domain.models.nodes import SlotsWanted
from orchestra.services.mail import mails
from orchestra.services.nodes import drains, nodes
from orchestra.services.users import users
from orchestra.store.driver.database import connect
from orchestra.store.schema import migrate
from support.people import caller
from support.world import World

NODE = "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values ('gauss', 2, 4, 0, 0)"
CPU, GPU = SlotsWanted("CPU", 2), SlotsWanted("GPU")
CHANGES: dict[str, Callable[[psycopg.Connection, Caller], object]] = {
    "set": lambda conn, me: nodes.change(conn, me, "gauss", SlotsWanted("CPU", 3, 3), GPU),
    "give": lambda conn, me: nodes.change(conn, me, "gauss", CPU, GPU, owner="carl"),
    "drain": lambda conn, me: drains.drain(conn, me, "gauss", reason=None),
    "resume": lambda conn, me: drains.resume(conn, me, "gauss"),
    "stop": lambda conn, me: nodes.stop(conn, me, "gauss", now=True),
    "at stake": lambda conn, me: nodes.at_stake(conn, me, "gauss"),
    "lose": lambda conn, me: nodes.lose(conn, me, "gauss", force=True),
    "delete": lambda conn, me: nodes.delete(conn, me, "gauss"),
}


@pytest.fixture
def root(conn: psycopg.Connection) -> Caller:
    """The first user."""
    return caller(conn, "root")


@pytest.fixture
def bob(conn: psycopg.Connection, root: Caller) -> Caller:
    return caller(conn, "bob")


@pytest.fixture
def carl(conn: psycopg.Connection, root: Caller) -> Caller:
    return caller(conn, "carl")


def admins(conn: psycopg.Connection) -> list[str]:
    return [user.name for user in users.everybody(conn) if user.is_admin]


def at_once(database_url: str, *works: Callable[[psycopg.Connection], object]) -> list[str]:
    """Make calls on a connection each, all started before one of them is committed, and return what was refused."""
    refused: list[str] = []
    ready = threading.Barrier(len(works))

    def one(work: Callable[[psycopg.Connection], object]) -> None:
        with connect(database_url) as conn:
            ready.wait(20)
            try:
                work(conn)
            except Refused as error:
                refused.append(str(error))

    threads = [threading.Thread(target=one, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return refused


# Nodes


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_is_changed_by_its_owner_and_by_admins(
    conn: psycopg.Connection, root: Caller, bob: Caller, carl: Caller, change: str
) -> None:
    nodes.create(conn, bob, "gauss", CPU, GPU)
    before = nodes.get(conn, "gauss")
    assert before.owner == "bob"
    with pytest.raises(Refused, match=r'^node "gauss" belongs to user "bob", but you are "carl".$'):
        CHANGES[change](conn, carl)
    assert nodes.get(conn, "gauss") == before
    for me in (bob, root):
        with conn.transaction(force_rollback=True):
            CHANGES[change](conn, me)


@pytest.mark.parametrize("change", CHANGES)
def test_a_node_without_an_owner_belongs_to_the_admins(
    conn: psycopg.Connection, root: Caller, bob: Caller, carl: Caller, change: str
) -> None:
    conn.execute(NODE)
    with pytest.raises(Refused, match="belongs to the admins"):
        CHANGES[change](conn, bob)
    CHANGES[change](conn, root)


def test_a_node_gets_another_owner(conn: psycopg.Connection, bob: Caller, carl: Caller) -> None:
    nodes.create(conn, bob, "gauss", CPU, GPU)
    with pytest.raises(NotFound, match='no user "dora"') as missing:
        nodes.change(conn, bob, "gauss", SlotsWanted("CPU"), GPU, owner="dora")
    assert missing.value.params == {"kind": "user", "name": "dora"}
    given = nodes.change(conn, bob, "gauss", SlotsWanted("CPU"), GPU, owner="carl")
    assert (given.owner, given.cpu.enabled) == ("carl", 2)
    with pytest.raises(NotAllowed) as refused:
        nodes.delete(conn, bob, "gauss")
    assert refused.value.params == {"owner": "carl", "user": "bob"}
    nodes.delete(conn, carl, "gauss")


def test_who_started_a_pilot_may_end_it_and_no_more(
    conn: psycopg.Connection, root: Caller, bob: Caller, carl: Caller
) -> None:
    nodes.create(conn, root, "gauss", CPU, GPU)
    World(conn).pilot("gauss", user="bob")
    (pilot,) = nodes.pilots(conn)
    assert (pilot.owner, pilot.started_by) == ("root", "bob")
    assert [nodes.may_stop(me, pilot) for me in (root, bob, carl)] == [True, True, False]
    with pytest.raises(Refused, match="belongs to user"):
        nodes.stop(conn, carl, "gauss")
    assert nodes.stop(conn, bob, "gauss")
    with pytest.raises(Refused):
        drains.drain(conn, bob, "gauss", reason=None)


def test_who_takes_over_from_a_pilot_that_lives_does_not_come_by_the_right_to_end_it(
    conn: psycopg.Connection, root: Caller, bob: Caller, carl: Caller
) -> None:
    nodes.create(conn, root, "gauss", CPU, GPU)
    world = World(conn)

    def started_by(user: str) -> str | None:
        world.pilot("gauss", user=user)
        return nodes.pilots(conn)[0].started_by

    assert started_by("") is None, "a pilot of an older version"
    assert [started_by(user) for user in ("bob", "carl", "nobody")] == ["bob"] * 3
    conn.execute("update pilot set gone_at = now()")
    assert started_by("carl") == "carl"


# Users


def test_only_admins_make_others(conn: psycopg.Connection, root: Caller, bob: Caller) -> None:
    with pytest.raises(
        Refused, match=r'^only an admin may create other users, but you are "bob".$'
    ):
        users.create(conn, bob, "dora", "dora@example.org")
    assert not users.create(conn, root, "dora", "dora@example.org").is_admin


def test_one_is_deleted_by_oneself_and_by_admins(
    conn: psycopg.Connection, root: Caller, bob: Caller, carl: Caller
) -> None:
    with pytest.raises(
        Refused, match=r'^only an admin may delete user "bob", but you are "carl".$'
    ):
        users.delete(conn, carl, "bob")
    users.delete(conn, bob, "bob")
    users.delete(conn, root, "carl")
    assert [user.name for user in users.everybody(conn)] == ["root"]


def test_the_nodes_of_a_deleted_user_belong_to_the_admins(
    conn: psycopg.Connection, root: Caller, bob: Caller
) -> None:
    nodes.create(conn, bob, "gauss", CPU, GPU)
    users.delete(conn, bob, "bob")
    assert nodes.get(conn, "gauss").owner is None
    nodes.delete(conn, root, "gauss")


def test_admins_say_who_is_one(conn: psycopg.Connection, root: Caller, bob: Caller) -> None:
    for name in ("bob", "root"):
        for admin in (True, False):
            with pytest.raises(Refused, match=r"^only an admin may change who is an admin"):
                users.change(conn, bob, name, admin=admin)
    assert users.change(conn, root, "bob", admin=True).is_admin
    assert not users.change(conn, caller(conn, "bob"), "root", admin=False).is_admin
    assert admins(conn) == ["bob"]


def test_the_last_admin_stays_as_long_as_there_are_others(
    conn: psycopg.Connection, root: Caller, bob: Caller
) -> None:
    sentence = r'^user "root" is the only admin.$'
    with pytest.raises(Refused, match=sentence):
        users.change(conn, root, "root", admin=False)
    with pytest.raises(Refused, match=sentence):
        users.delete(conn, root, "root")
    users.delete(conn, bob, "bob")
    with pytest.raises(Refused, match=sentence):
        users.change(conn, root, "root", admin=False)  # otherwise later users would have none
    users.delete(conn, root, "root")
    assert caller(conn, "carl").admin, "who comes next is the first again"


def test_a_caller_with_fewer_rights_than_the_user(conn: psycopg.Connection, bob: Caller) -> None:
    nodes.create(conn, bob, "gauss", CPU, GPU)
    reader = Caller(caller(conn, "root").user, admin=False)
    with pytest.raises(Refused, match='but you are "root"'):
        nodes.delete(conn, reader, "gauss")


def test_everybodys_mail_takes_an_admin(
    conn: psycopg.Connection, root: Caller, bob: Caller
) -> None:
    with pytest.raises(Refused, match=r"^only an admin may"):
        mails.again(conn, bob, [], everybody=True)
    assert mails.again(conn, root, [], everybody=True) == []


def test_one_of_several_concurrent_first_users_is_the_admin(database_url: str) -> None:
    names = [f"user{number}" for number in range(6)]
    at_once(database_url, *(partial(users.ensure, name=name, email="a@b.org") for name in names))
    with connect(database_url) as conn:
        assert len(users.everybody(conn)) == 6
        assert len(admins(conn)) == 1


@pytest.mark.parametrize("how", ["given up", "deleted"])
def test_two_admins_do_not_leave_at_once(
    conn: psycopg.Connection, database_url: str, root: Caller, bob: Caller, carl: Caller, how: str
) -> None:
    users.change(conn, root, "bob", admin=True)
    both = [caller(conn, "root"), caller(conn, "bob")]

    def leave(conn: psycopg.Connection, me: Caller) -> None:
        if how == "deleted":
            users.delete(conn, me, me.name)
        else:
            users.change(conn, me, me.name, admin=False)

    refused = at_once(database_url, *(partial(leave, me=me) for me in both))
    assert len(refused) == 1
    assert "is the only admin" in refused[0]
    assert len(admins(conn)) == 1


# Existing data


@pytest.mark.parametrize(
    ("before", "owner", "after"), [("{3, 2}", "bob", ["bob", "carl"]), ("{}", "ana", ["ana"])]
)
def test_existing_nodes_belong_to_the_first_admin(
    empty_database_url: str, tmp_path: Path, before: str, owner: str, after: list[str]
) -> None:
    """If nobody was an admin, the first user becomes one."""
    with connect(empty_database_url) as conn:
        migrate.migrate(conn, folder=_until_rights(tmp_path))
        conn.execute(
            "insert into person (name, email) select name, '' from unnest('{ana, bob, carl}'::text[]) n (name)"
        )
        conn.execute("update person set is_admin = true where id = any(%s::int[])", [before])
        conn.execute(NODE)
        migrate.migrate(conn)
        assert (nodes.get(conn, "gauss").owner, admins(conn)) == (owner, after)


def test_a_node_that_was_there_before_anybody_is_the_first_users_to_change(
    empty_database_url: str, tmp_path: Path
) -> None:
    with connect(empty_database_url) as conn:
        migrate.migrate(conn, folder=_until_rights(tmp_path))
        conn.execute(NODE)
        migrate.migrate(conn)
        nodes.delete(conn, caller(conn, "ana"), "gauss")


def _until_rights(folder: Path) -> Path:
    """The migrations before the one that added rights."""
    for step in sorted(migrate.FOLDER.glob("*.sql")):
        if step.name.endswith("_rights.sql"):
            break
        shutil.copy(step, folder)
    return folder
