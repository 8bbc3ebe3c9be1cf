"""Somebody else, of another Unix account and with direct access to the database, changes nothing that is not theirs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from support.maestro import Maestro
from support.ordinary import Ordinary
from support.waiting import wait_until

FOREIGN = """
node set -n gauss -ec 7 | node set -n gauss --owner bob | node drain -n gauss | node resume -n gauss
node stop -n gauss | node lost -n gauss --force --yes | node delete -n gauss | pilot stop -n gauss
pilot stop -n gauss --now --yes | up --cpus 7 --detach | user create -n eva -e eva@example.org
user set -n ana -e bob@example.org | user set -n ana --mail off | user set -n bob --admin on
user set -n ana --admin off | user delete -n ana | mail retry --all | task kill 0 | task hold 0 | task release 0
task retry 0 --all --yes | task delete 0 --force --yes | task delete 0 --force --remove --yes
task clean 0 --yes | job kill 0/0 | job retry 0/0 | dataset update user.ana.x | dataset delete user.ana.x
db accept --yes
"""
TYPED = r"""
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from orchestra.cli.main import main

for command in %r:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(command.split())
    print(json.dumps([command, status, err.getvalue()]))
"""


@pytest.fixture
def at_work(maestro: Maestro) -> Iterator[Maestro]:
    """Ana, the first user, whose machine gauss runs a job."""
    maestro.env["MAESTRO_NODE"] = "gauss"
    (maestro.folder / "x").write_text("x")
    maestro.line("up --cpus 1 --gpus 0 --detach")
    maestro.line("dataset create -n user.ana.x -p x")
    command = "sleep 300; : %DATA %IN %OUT"
    task = "task create -c user.ana.x -d user.ana.x -t user.ana.nap --bypass --exec"
    maestro(*task.split(), command)
    wait_until(lambda: running(maestro) == 1, 30)
    yield maestro
    maestro.line("down --kill --yes")


def running(maestro: Maestro) -> Any:
    return maestro.line("task list -o json").json[0]["counts"]["running"]


def seen(conn: psycopg.Connection) -> list[Any]:
    """What is ana's, without what changes by itself."""
    queries = (
        "select * from node where name = 'gauss'",
        "select * from person where name = 'ana'",
        "select * from dataset",
        "select agent, person_id, leave, leave_now, gone_at from pilot order by started_at limit 1",
        "select id, owner_id, state, held_at, intent from task",
        "select state, kill_requested from job",
    )
    return [conn.execute(query).fetchall() for query in queries]


@pytest.mark.needs("root")
@pytest.mark.servers("debian15")
def test_another_account_changes_nothing_of_others(
    at_work: Maestro, conn: psycopg.Connection, ordinary: Ordinary, tcp_database_url: str
) -> None:
    before = seen(conn)
    _configure(ordinary, tcp_database_url)
    commands = [each.strip() for each in FOREIGN.replace("\n", "|").split("|") if each.strip()]
    done = ordinary.python(TYPED % commands)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [command for command, _, _ in answers] == commands
    for command, status, err in answers:
        assert (status, err.count("error: ")) == (2, 1), (command, status, err)
        assert 'but you are "bob".' in err, (command, err)
    assert seen(conn) == before
    down = ordinary.python(TYPED % ["down --kill --yes"])
    assert json.loads(down.stdout)[1] == 0, "no pilot of that account runs here"
    assert seen(conn) == before


def _configure(ordinary: Ordinary, url: str) -> None:
    path = ordinary.home / ".orchestra.json"
    path.write_text(json.dumps({"postgres": url, "username": "bob", "node": "gauss"}))
    path.chmod(0o600)
    os.chown(path, ordinary.uid, ordinary.gid)


def test_another_user_of_the_same_account_ends_no_pilot_but_their_own(
    at_work: Maestro, conn: psycopg.Connection
) -> None:
    before = seen(conn)
    at_work.env["MAESTRO_USERNAME"] = "bob"
    sentence = 'error: node "gauss" belongs to user "ana", but you are "bob".'
    for command in ("pilot stop --now --yes", "down --kill --yes"):
        assert at_work.refused(*command.split()).startswith(sentence), command
    assert "OWNER" not in at_work.line("node list").out, (
        "where all nodes are one's, nobody asks whose"
    )
    at_work.line("up --detach")  # is there already
    at_work.env["MAESTRO_NODE"] = "noether"
    at_work.line("node create -n noether -ec 1")
    assert "OWNER" in at_work.line("node list").out
    at_work.line("pilot run -n noether --detach")
    said = at_work.line("down")
    assert "the pilot of noether has stopped" in said.out
    assert "the pilot of node gauss keeps running: it is not yours" in said.err
    conn.execute("delete from node where name = 'noether'")
    del at_work.env["MAESTRO_USERNAME"]
    at_work.env["MAESTRO_NODE"] = "gauss"
    assert seen(conn) == before


def test_a_node_that_somebody_else_made_is_served_and_left(maestro: Maestro) -> None:
    maestro.line("node create -n gauss -ec 1")
    maestro.env |= {"MAESTRO_USERNAME": "bob", "MAESTRO_NODE": "gauss"}
    maestro.line("up --cpus 1 --detach")  # which asks for what there is
    assert "belongs to user" in maestro.line("up --cpus 2 --detach", status=2).err
    assert "the pilot of gauss has stopped" in maestro.line("down").out
