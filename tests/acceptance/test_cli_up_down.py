"""`up` and `down` on one machine with nothing but a home folder; pilots by hand."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from orchestra.cli.local.machine import cpu_count
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
    assert "is not a node yet" in maestro.refused("pilot", "run")


def test_a_pilot_in_the_foreground_ends_with_ctrl_c(maestro: Maestro) -> None:
    maestro.line("node create -n gauss -ec 1")
    pilot = maestro.start("pilot", "run", "-n", "gauss", "-m")
    maestro.wait_for("pilot", "list", shows="online")
    assert maestro.pilot()["prefers_to_conduct"] is True
    pilot.send_signal(signal.SIGINT)
    assert pilot.wait(timeout=30) == 0
    assert maestro.pilot()["state"] == "offline"


def test_pilot_detach_and_stop(maestro: Maestro) -> None:
    maestro.line("node create -n gauss -ec 1")
    said = maestro("pilot", "run", "-n", "gauss", "--detach")
    assert "the pilot of node gauss is online" in said.out
    pid = maestro.pilot()["pid"]
    assert "is stopping" in maestro("pilot", "stop", "-n", "gauss").out
    wait_until(lambda: not lives(pid), 30)
    assert "no pilot is online" in maestro("pilot", "stop", "-n", "gauss").out


def test_a_pilot_that_cannot_begin_says_why(maestro: Maestro, conn: psycopg.Connection) -> None:
    World(conn).pilot("gauss", host="elsewhere")
    error = maestro.refused("pilot", "run", "-n", "gauss", "--detach")
    assert "the pilot of node gauss did not start:" in error
