"""`up` and `down` on one machine with nothing but a home folder; pilots by hand."""

from __future__ import annotations

import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestra.files.machine_resources import cpu_count
from orchestra.store.postgres import embedded
from support.maestro import Maestro
from support.processes import lives
from support.terminal import at_terminal
from support.waiting import wait_until
from support.world import World


def _sleeping_task(maestro: Maestro, seconds: int = 300) -> None:
    """A task of one job that sleeps, running."""
    (maestro.folder / "config").write_text("x")
    user = maestro("user", "list", "-q").out.strip()
    maestro("dataset", "create", "-n", f"user.{user}.x", "-p", "config")
    maestro(
        *(
            "task",
            "create",
            "-c",
            f"user.{user}.x",
            "-d",
            f"user.{user}.x",
            "-t",
            f"user.{user}.nap",
        ),
        *("--exec", f"sleep {seconds}; : %DATA %IN %OUT", "--bypass", "--grace", "1s"),
    )
    wait_until(lambda: maestro.pilot()["jobs"] == 1, 30)
    wait_until(lambda: maestro("task", "list", "-o", "json").json[0]["counts"]["running"] == 1, 30)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Maestro]:
    """Another user of the same machine."""
    places = [tmp_path / "other" / name for name in ("home", "work", "data", "state")]
    for place in places[:2]:
        place.mkdir(parents=True)
    own = {"MAESTRO_DATA_DIR": str(places[2]), "MAESTRO_STATE_DIR": str(places[3]), "USER": "bob"}
    user = Maestro(places[0], places[1], own)
    yield user
    user.end()


def test_up_twice_and_down(newcomer: Maestro) -> None:
    said = newcomer("up", "--detach").out
    assert "database   embedded PostgreSQL 18, new, in " in said
    assert f'": {cpu_count()} CPU slot' in said
    assert "pilot      waiting for work" in said
    pilot = newcomer.pilot()
    assert (pilot["state"], pilot["conducts"]) == ("online", True)
    assert newcomer("user", "list", "-q").out == "ana\n"

    again = newcomer("up", "--detach").out
    assert "new" not in again
    assert newcomer.pilot()["pid"] == pilot["pid"]
    assert f'": {cpu_count() + 1} CPU slots' in newcomer("up", "--cpus", cpu_count() + 1).out

    down = newcomer("down")
    assert "has stopped" in down.out
    assert "the embedded database is stopped" in down.out
    assert not lives(pilot["pid"])
    assert newcomer("db", "status", "-o", "json").json["running"] is False
    assert "nothing runs here" in newcomer("down").out


def test_ctrl_c_leaves_the_view_alone(newcomer: Maestro) -> None:
    with at_terminal(newcomer, "up", "--cpus", 1) as terminal:
        wait_until(lambda: "No task is running" in terminal.screen, 60, lambda: terminal.screen)
        assert (
            "Ctrl-C leaves this view; it does not stop the pilot (maestro down)" in terminal.screen
        )
        terminal.interrupt()
        assert terminal.process.wait(timeout=30) == 0
    assert newcomer.pilot()["state"] == "online"


def test_the_view_shows_live_tasks(newcomer: Maestro) -> None:
    newcomer("up", "--detach", "--cpus", 1)
    _sleeping_task(newcomer)
    with at_terminal(newcomer, "up") as terminal:
        wait_until(lambda: "user.ana.nap" in terminal.screen, 60, lambda: terminal.screen)
        assert "1 of 1 CPU slots" in terminal.screen
        assert "running 1 job" in terminal.screen


def test_down_waits_and_ctrl_c_stops_the_waiting_alone(newcomer: Maestro) -> None:
    newcomer("up", "--detach", "--cpus", 1)
    _sleeping_task(newcomer)
    waiting = newcomer.start("down")
    assert waiting.stderr is not None
    assert "Waiting for 1 running job" in waiting.stderr.readline()
    waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=30)
    assert waiting.returncode == 130
    assert "no job was ended" in err
    pilot = newcomer.pilot()
    assert (pilot["state"], pilot["jobs"]) == ("leaving", 1)
    assert "no terminal to ask" in newcomer.refused("down", "--kill")
    assert "has stopped" in newcomer("down", "--kill", "--yes").out
    assert not lives(pilot["pid"])


def test_a_pilot_that_was_killed_is_replaced(newcomer: Maestro) -> None:
    newcomer("up", "--detach", "--cpus", 1)
    first = newcomer.pilot()["pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: not lives(first))
    newcomer("up", "--detach")
    second = newcomer.pilot()
    assert second["pid"] != first
    assert second["state"] == "online"
    assert lives(second["pid"])


def test_two_users_do_not_disturb_each_other(newcomer: Maestro, other: Maestro) -> None:
    newcomer("up", "--detach", "--cpus", 1)
    other("up", "--detach", "--cpus", 1)
    assert newcomer("user", "list", "-q").out == "ana\n"
    assert other("user", "list", "-q").out == "bob\n"
    assert newcomer.pilot()["node"] == other.pilot()["node"]
    newcomer("down")
    assert other.pilot()["state"] == "online"
    assert lives(other.pilot()["pid"])


def test_a_database_that_is_killed_comes_back_a_stopped_one_does_not(newcomer: Maestro) -> None:
    newcomer("up", "--detach", "--cpus", 1)
    data = Path(newcomer.env["MAESTRO_DATA_DIR"])
    before = embedded.status(data).pid
    assert before
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: (now := embedded.status(data)).running and now.pid != before, 30)
    wait_until(lambda: newcomer.pilot()["state"] == "online", 30)

    pilot = newcomer.pilot()["pid"]
    assert "pilot is online" in newcomer.refused("db", "stop")
    newcomer("db", "stop", "--yes")
    assert lives(pilot)
    log = next(Path(newcomer.env["MAESTRO_STATE_DIR"]).rglob("agent.log"))
    wait_until(lambda: "the embedded database was stopped" in log.read_text(), 30)
    assert not embedded.status(data).running
    os.kill(pilot, signal.SIGTERM)
    wait_until(lambda: not lives(pilot))
    assert newcomer("down").out == "the server of the pages has stopped\n"
    assert newcomer("down").out == "nothing runs here: the embedded database is stopped\n"


def test_up_with_a_server(maestro: Maestro, tcp_database_url: str) -> None:
    try:
        said = maestro("up", "--detach", "--cpus", 1).out
        assert "database   PostgreSQL at 127.0.0.1:" in said
        assert tcp_database_url not in said
        pilot = maestro.pilot()
        assert pilot["state"] == "online"
    finally:
        down = maestro("down")
    assert "embedded" not in down.out
    assert not lives(pilot["pid"])


def test_up_refuses_a_node_that_another_machine_serves(
    maestro: Maestro, conn: psycopg.Connection
) -> None:
    maestro.env["MAESTRO_NODE"] = "gauss"
    World(conn).pilot("gauss", host="elsewhere")
    said = maestro("up", "--detach", status=2)
    assert 'node "gauss" is already served by a pilot on elsewhere' in said.err
    assert '"node" in the configuration' in said.err


def test_a_pilot_of_another_account_is_not_taken_for_ones_own(
    maestro: Maestro, conn: psycopg.Connection
) -> None:
    maestro.env["MAESTRO_NODE"] = "gauss"
    here: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    World(conn).pilot("gauss", account="ben", **here)
    refused = maestro("up", "--detach", status=2)
    assert 'node "gauss" is served by a pilot of ben on this machine' in refused.err
    assert 'Set "node" in the configuration to name yours.' in refused.err
    assert "waiting for work" not in refused.out
    # Nor does `down` end it.
    assert "no pilot was running here" in maestro("down").out
    assert conn.execute("select leave from pilot").fetchall() == [(False,)]
    World(conn).pilot("gauss", account="ben", serve_all=True, **here)
    assert (
        "pilot      ben's, which runs everybody's jobs: waiting for work."
        in maestro("up", "--detach").out
    )


def test_pilot_run_needs_a_node(maestro: Maestro) -> None:
    error = maestro.refused("pilot", "run", "-n", "gauss")
    assert 'there is no node "gauss"' in error
    assert "maestro node create -n gauss" in error
    assert "--create-node creates it with this machine's processors and GPUs" in error
    missing = maestro.refused("pilot", "run")
    assert "is not a node yet" in missing
    assert "maestro pilot run --create-node" in missing


def test_a_pilot_in_the_foreground_ends_with_ctrl_c(maestro: Maestro) -> None:
    pilot = maestro.start("pilot", "run", "-n", "gauss", "-m", "--create-node")
    maestro.wait_for("pilot", "list", shows="online")
    (node,) = maestro("node", "list", "-o", "json").json
    assert (node["name"], node["owner"]) == ("gauss", "ana")
    assert node["cpu"] == {"in_use": 0, "enabled": cpu_count(), "max": cpu_count()}
    assert maestro.pilot()["prefers_to_conduct"] is True
    pilot.send_signal(signal.SIGINT)
    assert pilot.wait(timeout=30) == 0
    assert maestro.pilot()["state"] == "offline"


def test_pilot_detach_and_stop(maestro: Maestro) -> None:
    maestro.line("node create -n gauss -ec 1")
    said = maestro("pilot", "run", "-n", "gauss", "--create-node", "--detach")
    assert "the pilot of node gauss is online" in said.out
    assert "created" not in said.err
    assert maestro("node", "list", "-o", "json").json[0]["cpu"]["enabled"] == 1
    pid = maestro.pilot()["pid"]
    assert "is stopping" in maestro("pilot", "stop", "-n", "gauss").out
    wait_until(lambda: not lives(pid), 30)
    assert "no pilot is online" in maestro("pilot", "stop", "-n", "gauss").out


def test_a_pilot_that_cannot_begin_says_why(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss", host="elsewhere")
    error = maestro.refused("pilot", "run", "-n", "gauss", "--detach")
    assert "the pilot of node gauss did not start:" in error


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


@pytest.mark.slow
def test_the_database_is_shared_with_who_was_named(newcomer: Maestro, other: Maestro) -> None:
    newcomer.env["MAESTRO_ALLOW_ROOT"] = other.env["MAESTRO_ALLOW_ROOT"] = "1"
    newcomer("up", "--detach", "--cpus", 1)
    _sleeping_task(newcomer)
    pilot = newcomer.pilot()["pid"]
    port = _free_port()
    said = newcomer("up", "--detach", "--share", "127.0.0.1", "--port", port)
    assert f"shared     with 127.0.0.0/8, at 127.0.0.1:{port}" in said.out
    url_file = newcomer.home / ".orchestra.url"
    assert stat.S_IMODE(url_file.stat().st_mode) == 0o600
    url = url_file.read_text().strip()
    assert url not in said.out + said.err

    # The role works with the tables, but drops none. The owner of the database cannot connect at all.
    with psycopg.connect(url, autocommit=True) as conn:
        assert conn.execute("select count(*) from orchestra.job").fetchone() == (1,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("drop table orchestra.job")
    owner = embedded.status(Path(newcomer.env["MAESTRO_DATA_DIR"])).url
    assert owner is not None
    with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects connection"):
        psycopg.connect(owner, host="127.0.0.1", sslmode="disable")

    # Another machine; the job on this one runs on. Where the database is, it is used directly.
    other.env |= {"MAESTRO_POSTGRES_FILE": str(url_file), "MAESTRO_NODE": "kant"}
    del other.env["MAESTRO_DATA_DIR"]
    assert f"PostgreSQL at 127.0.0.1:{port}" in other("up", "--detach", "--cpus", 1).out
    newcomer.env["MAESTRO_POSTGRES_FILE"] = str(url_file)
    assert newcomer("db", "status", "-o", "json").json["kind"] == "embedded"
    kant, here = sorted(newcomer.line("pilot list -o json").json, key=lambda p: p["node"] != "kant")
    assert (kant["state"], here["pid"], here["jobs"]) == ("online", pilot, 1)

    # Again, and at a port that is taken: everything stays as it is.
    newcomer("up", "--detach", "--share")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = taken.getsockname()[1]
        refused = newcomer.refused("up", "--detach", "--share", "localhost", "--port", number)
        assert f"another program uses port {number}" in refused
    assert url_file.read_text().strip() == url
    assert newcomer("db", "status", "-o", "json").json["shared"].endswith(f"127.0.0.1:{port}")

    # No longer.
    assert "pilot of kant has stopped" in other("down").out
    newcomer("up", "--detach", "--no-share", "--yes")
    assert not url_file.exists()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(url)
    del newcomer.env["MAESTRO_POSTGRES_FILE"]
    assert newcomer("db", "status", "-o", "json").json["shared"] is None
    newcomer("down", "--kill", "--yes")


@pytest.mark.needs("root")
def test_root_shares_only_if_its_pilot_may_run_everybody_s_jobs(newcomer: Maestro) -> None:
    newcomer.env["MAESTRO_ALLOW_ROOT"] = "<unset>"
    said = newcomer.refused("up", "--detach", "--share", "127.0.0.1")
    assert "--allow-root" in said
    assert not (newcomer.home / ".orchestra.url").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--share 10.1.0.0/99", "is not a network, an address or the name of a machine"),
        ("--port 5555", "--port is the port of a shared database"),
        ("--share --port 80", "80 is not a port from 1024 to 65535"),
        ("--share --no-share", "cannot go together"),
    ],
)
def test_what_cannot_be_shared_is_refused(newcomer: Maestro, options: str, words: str) -> None:
    newcomer.env["MAESTRO_ALLOW_ROOT"] = "1"
    assert words in newcomer.refused("up", "--detach", *options.split())
    assert not Path(newcomer.env["MAESTRO_DATA_DIR"]).exists()


def test_a_server_is_not_shared(maestro: Maestro) -> None:
    assert "only an embedded database is shared" in maestro.refused("up", "--detach", "--share")
