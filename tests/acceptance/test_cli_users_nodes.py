"""People and machines, as they are typed."""

from __future__ import annotations

import psycopg
import pytest

from support.maestro import Maestro
from support.people import caller
from support.world import World

pytestmark = pytest.mark.both_ways


def test_user_init_creates_then_says_current(newcomer: Maestro, empty_database_url: str) -> None:
    newcomer.configure(postgres=empty_database_url)
    missing = newcomer.refused("user", "list")
    assert "no Orchestra schema" in missing
    assert "maestro user init" in missing
    first = newcomer("user", "init")
    assert "created the tables, schema" in first.out
    assert "Next: maestro user create -n ana" in first.err
    newcomer("user", "create", "-n", "ana", "-e", "ana@example.org")
    assert newcomer("user", "init").err == "", "what was done is not asked for again"
    assert "current" in newcomer("user", "init").out


@pytest.mark.postgresql_only  # a server has made its user before the first command
def test_user_create_list_delete(maestro: Maestro) -> None:
    made = maestro("user", "create", "-n", "ana", "-e", "ana@example.org")
    assert made.out == "user ana (ana@example.org), an admin\n"
    assert (
        maestro.line("user create -n bob -e bob@example.org").out == "user bob (bob@example.org)\n"
    )
    assert 'a user "bob" already exists' in maestro.refused(
        "user", "create", "-n", "bob", "-e", "bob@example.org"
    )
    listed = maestro("user", "list", "-o", "json").json
    assert [(user["name"], user["email"]) for user in listed] == [
        ("ana", "ana@example.org"),
        ("bob", "bob@example.org"),
    ]
    assert maestro("user", "list", "-q").out == "ana\nbob\n"
    assert maestro("user", "list", "-u", "bob").out.splitlines()[1].startswith("bob ")
    limited = maestro.line("user limit -n bob --cpus 40 --gpus 2.5 --running none --shares 2")
    assert limited.out == "user bob: at most 40 CPU slots, 2.5 GPUs at a time; 2 shares\n"
    bob = maestro.line("user list -u bob -o json").json[0]
    assert (bob["limits"], bob["shares"]) == ({"cpus": 40, "gpus": 2.5, "running": None}, 2.0)
    assert "  limits  40 CPU slots, 2.5 GPUs\n" in maestro.line("user show -n bob").out
    assert "  limits  none\n" in maestro.line("user show").out
    assert "there is nothing to change" in maestro.refused("user", "limit", "-n", "bob")
    maestro.line("user delete -n bob")
    maestro.line("user delete -n ana")
    assert maestro("user", "list", "-o", "json").json == []


@pytest.mark.postgresql_only
def test_who_makes_others_is_a_user_and_the_first_an_admin(maestro: Maestro) -> None:
    said = maestro("user", "create", "-n", "bob", "-e", "bob@example.org")
    assert (said.out, said.err) == (
        "user bob (bob@example.org)\n",
        "created user ana (ana@example.org)\n",
    )
    assert [user["admin"] for user in maestro.line("user list -o json").json] == [True, False]


def test_mistakes_with_users(maestro: Maestro) -> None:
    assert "is not an e-mail address" in maestro.refused(
        "user", "create", "-n", "x", "-e", "nobody"
    )
    assert "cannot be a user name" in maestro.refused(
        "user", "create", "-n", "a b", "-e", "a@b.org"
    )
    maestro.line("user create -n carla -e carla@example.org")
    assert 'Did you mean "carla"?' in maestro.refused("user", "delete", "-n", "clara")
    assert "-e/--email is missing" in maestro.refused("user", "create", "-n", "x")


def test_a_user_with_tasks_is_not_deleted(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).task(3)
    assert 'user "ana" still has 1 task' in maestro.refused("user", "delete", "-n", "ana")
    assert maestro("user", "list", "-q").out == "ana\n"


def test_nodes_of_the_original_readme(maestro: Maestro) -> None:
    maestro.line("node create -ec 0 -mc 0 -eg 2 -mc 2 -n caloba21")
    maestro.line("node create -ec 40 -mc 40 -eg 0 -mc 0 -n caloba51")
    first, second = maestro("node", "list", "-o", "json").json
    assert first["cpu"] == {"in_use": 0, "enabled": 0, "max": 0}
    assert first["gpu"] == {"in_use": 0, "enabled": 2, "max": 2}
    assert second["cpu"] == {"in_use": 0, "enabled": 40, "max": 40}
    assert second["gpu"]["max"] == 0
    assert {first["state"], second["state"]} == {"offline"}


def test_long_options_and_left_out_maxima(maestro: Maestro) -> None:
    maestro.line(
        "node create --name a --enabledCPUSlots 3 --enabledGPUSlots 1 --maxNumberOfGPUSlots 4"
    )
    node = maestro("node", "show", "-n", "a", "-o", "json").json
    assert node["cpu"]["max"] == 3
    assert node["gpu"] == {"in_use": 0, "enabled": 1, "max": 4}


def test_mistakes_with_nodes(maestro: Maestro) -> None:
    maestro.line("node create -n a -ec 2")
    mistakes = {
        "node create -n a -ec 2": 'a node "a" already exists',
        "node create -n b -ec 4 -mc 2": "4 CPU slots cannot be enabled (-ec) of at most 2 (-mc)",
        "node create -n b -eg 3 -mg 2": "3 GPU slots cannot be enabled (-eg) of at most 2 (-mg)",
        "node create -n b -ec -1": "cannot have -1 CPU slots",
        "node create -n b -ec two": 'needs a whole number, not "two"',
        "node create -n 'b c' -ec 1": "cannot be a node name",
        "node set -n a -ec 3": "cannot be enabled",
        "node set -n a": "nothing to change",
        "node drain -n b": 'there is no node "b"',
        "node delete -n b": 'there is no node "b"',
    }
    for command, words in mistakes.items():
        said = maestro.line(command, status=2)
        assert words in said.err, said
    assert maestro("node", "list", "-q").out == "a\n"


def test_many_nodes_at_once(maestro: Maestro, conn: psycopg.Connection) -> None:
    made = maestro("node", "create", "-n", "gpu[08-10]", "-eg", "2")
    assert made.out == "3 nodes gpu[08-10]: 0 CPU slots and 2 GPU slots each\n"
    assert "on each machine: maestro pilot run -n NODE" in made.err
    assert '"gpu08" already exists' in maestro.refused("node", "create", "-n", "gpu[07-08]")
    assert maestro("node", "create", "-n", "a,b", "-ec", "1", "-q").out == "a\nb\n"
    maestro.line("node set -n gpu[08,10] -ec 4 -mc 4")
    many = maestro("node", "list", "-o", "json").json
    assert [(node["name"], node["cpu"]["enabled"]) for node in many] == [
        ("a", 1), ("b", 1), ("gpu08", 4), ("gpu09", 0), ("gpu10", 4),
    ]  # fmt: skip
    wrong = maestro.refused("node", "set", "-n", "gpu[08-09]", "-ec", "1")
    assert wrong.startswith('error: node "gpu09": 1 CPU slot cannot be enabled (-ec)')
    World(conn).pilot("gpu09")
    drained = maestro("node", "drain", "-n", "gpu[08-09]")
    assert drained.out == "2 nodes gpu[08-09] take no new jobs\n"
    assert "maestro node resume -n 'gpu[08-09]'" in drained.err
    assert "2 of 3 nodes gpu[08-10] take jobs" in maestro.line("node resume -n gpu[08-10]").out
    assert "1 of 3 nodes gpu[08-10] takes no" in maestro.line("node stop -n gpu[08-10]").out
    assert "2 nodes gpu[08,10] are lost; 0 jobs" in maestro.line("node lost -n gpu[08,10]").out
    assert 'no node "gpu11"' in maestro.refused("node", "delete", "-n", "gpu[10-11]")
    assert maestro.line("node delete -n gpu[08,10],a").out == "3 nodes gpu[08,10],a deleted\n"
    assert maestro("node", "list", "-q").out == "b\ngpu09\n"


def test_drain_shows_who_and_why_until_resume(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss")
    maestro("node", "drain", "-n", "gauss", "--reason", "new disk")
    listed = maestro("node", "list").out
    assert "drained" in listed
    assert 'by ana: "new disk"' in listed
    assert "takes jobs again" in maestro("node", "resume", "-n", "gauss").out
    assert "was not drained" in maestro("node", "resume", "-n", "gauss").out
    states = conn.execute("select to_state, who, why from event where kind = 'node' order by id")
    assert states.fetchall() == [("DRAINED", "ana", "new disk"), ("OPEN", "ana", None)]


def test_slots_in_use_and_a_busy_node_stays(maestro: Maestro, conn: psycopg.Connection) -> None:
    caller(conn, "ana")  # the first user, so an admin
    world = World(conn)
    pilot = world.pilot("gauss")
    world.task(5)
    world.conduct(2)
    grants = pilot.claim(3)
    pilot.start(*grants)
    node = maestro("node", "show", "-n", "gauss", "-o", "json").json
    assert node["online"] is True
    assert node["cpu"] == {"in_use": 3, "enabled": 8, "max": 8}
    assert "3/8" in maestro("node", "list").out
    assert 'node "gauss" still has 3 jobs' in maestro.refused("node", "delete", "-n", "gauss")
    pilot.end(*grants)
    assert "pilot of node" in maestro.refused("node", "delete", "-n", "gauss")


def test_stop_asks_the_pilot_to_leave(maestro: Maestro, conn: psycopg.Connection) -> None:
    pilot = World(conn).pilot("gauss")
    conn.execute("listen orchestra_node")
    assert "takes no new jobs" in maestro("node", "stop", "-n", "gauss").out
    assert conn.execute("select leave, leave_now from pilot").fetchall() == [(True, False)]
    notices = [(n.channel, n.payload) for n in conn.notifies(timeout=5, stop_after=1)]
    assert notices == [("orchestra_node", str(pilot.node))]


def test_a_node_offline_has_no_pilot_to_stop(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss")
    conn.execute("update pilot set seen_at = now() - interval '2 minutes'")
    assert "no pilot is online" in maestro("node", "stop", "-n", "gauss").out
    assert maestro("node", "show", "-n", "gauss", "-q").out == "gauss\n"
    assert maestro("node", "list", "-o", "json").json[0]["state"] == "offline"


def test_a_node_without_slots_says_so(maestro: Maestro) -> None:
    assert "takes no jobs until it has slots" in maestro("node", "create", "-n", "euler").err
    assert "slots" not in maestro("node", "create", "-n", "gauss", "-ec", "1").err
