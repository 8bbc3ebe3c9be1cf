"""`maestro doctor` where something is wrong, and where nothing is."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from support import mounts
from support.maestro import Maestro, Sentence
from support.terminal import at_terminal
from support.waiting import wait_until
from support.world import World


def found(maestro: Maestro, check: str, *, status: int = 0) -> Any:
    """What is said of one check."""
    said = maestro("doctor", "-o", "json", status=status)
    assert said.err == ""
    return next(each for each in said.json if each["check"] == check)


def test_a_newcomer_with_nothing_at_all(newcomer: Maestro) -> None:
    said = newcomer("doctor")
    assert "no file, so everything has its default" in said.out
    assert re.search(r"none yet; an embedded PostgreSQL \d+.* will be created in", said.out)
    assert "To begin: maestro up" in said.err or "warning" in said.out
    assert "problem" not in said.out
    assert not Path(newcomer.env["MAESTRO_DATA_DIR"]).exists()
    assert list(newcomer.home.iterdir()) == []


def test_a_server_that_is_well(maestro: Maestro) -> None:
    said = maestro("doctor")
    lines = {line[9:25].strip(): line[25:] for line in said.out.splitlines()}
    assert lines["configuration"].startswith("~/.orchestra.json, readable by you alone; MAESTRO_")
    assert lines["database"].startswith("PostgreSQL 18")
    assert lines["schema"].endswith(", current")
    assert "maestro up makes it one" in lines["node"]
    assert "orchestra:" not in said.out, "no password"


def test_a_broken_configuration(newcomer: Maestro) -> None:
    path = newcomer.home / ".orchestra.json"
    path.write_text('{"postgres": ""postgres://ana:secret@db/x"}')
    finding = found(newcomer, "configuration", status=1)
    assert finding["verdict"] == "problem"
    assert "an extra quote before postgres://" in finding["says"]
    path.write_text('{"colour": "blue"}')
    finding = found(newcomer, "configuration")
    assert finding["verdict"] == "warning"


def test_a_password_that_others_can_read(maestro: Maestro, tcp_database_url: str) -> None:
    path = maestro.configure(postgres=tcp_database_url)
    path.chmod(0o644)
    finding = found(maestro, "configuration")
    assert (finding["verdict"], finding["remedy"]) == ("warning", f"chmod 600 {path}")


def test_a_server_that_refuses_and_one_without_tables(
    maestro: Maestro, tcp_database_url: str, empty_database_url: str
) -> None:
    password = tcp_database_url.partition("//orchestra:")[2].partition("@")[0]
    path = maestro.configure(postgres=tcp_database_url.replace(password, "not-it"))
    finding = found(maestro, "database", status=1)
    assert "password authentication failed" in finding["says"]
    assert str(path) in finding["remedy"]
    maestro.configure(postgres=empty_database_url)
    assert found(maestro, "schema", status=1)["remedy"] == "maestro user init"


def test_a_schema_of_another_version(maestro: Maestro, conn: psycopg.Connection) -> None:
    conn.execute(
        "insert into schema_migration (number, name, sha256, program_version) "
        "select max(number) + 1, 'more', 'x', '99' from schema_migration"
    )
    assert "Upgrade maestro" in found(maestro, "schema", status=1)["remedy"]


def test_a_server_that_never_answers_and_ctrl_c(maestro: Maestro) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        maestro.configure(postgres=f"postgresql://ana@127.0.0.1:{port}/x")
        with at_terminal(maestro, "doctor") as terminal:
            wait_until(lambda: "checking" in terminal.screen)
            terminal.interrupt()
            assert terminal.process.wait(timeout=20) == 130
            assert "stopped." in terminal.screen
            assert "Traceback" not in terminal.screen
        began = time.monotonic()
        assert "does not answer" in found(maestro, "database", status=1)["says"]
        assert time.monotonic() - began < 25


def test_a_runtime_that_is_configured_and_not_there(maestro: Maestro) -> None:
    maestro.env["MAESTRO_CONTAINER_RUNTIME"] = "/nowhere/apptainer"
    finding = found(maestro, "runtimes", status=1)
    assert "there is no /nowhere/apptainer" in finding["says"]


def test_a_volume_that_is_no_folder(maestro: Maestro) -> None:
    file = maestro.home / "file"
    file.touch()
    maestro.env["MAESTRO_VOLUME"] = str(file)
    assert "a file" in found(maestro, "volume", status=1)["says"]
    maestro.env["MAESTRO_VOLUME"] = str(maestro.home / "none")
    assert "Is it mounted?" in found(maestro, "volume", status=1)["says"]


@pytest.mark.needs("root", "fuse")
def test_a_volume_that_hangs_does_not_hang_the_doctor(maestro: Maestro, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    with mounts.hung(tmp_path / "far"):
        maestro.env["MAESTRO_VOLUME"] = str(tmp_path / "far")
        said: Sentence = maestro("doctor", status=1, timeout=60)
    assert "did not answer within" in said.out
    assert "PostgreSQL 18" in said.out, "the other checks are made all the same"


def test_a_mail_server_that_is_not_there(maestro: Maestro, tcp_database_url: str) -> None:
    assert "files in" in found(maestro, "mail")["says"]
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    maestro.configure(postgres=tcp_database_url, smtp_host="127.0.0.1", smtp_port=port)
    assert f"127.0.0.1:{port}" in found(maestro, "mail", status=1)["says"]


def test_nodes_that_need_somebody(maestro: Maestro, conn: psycopg.Connection) -> None:
    world = World(conn)
    world.task(3)
    world.conduct(2)
    pilot = world.pilot("euler")
    pilot.start(*pilot.claim(2))
    conn.execute("update pilot set seen_at = now() - interval '3 hours'")
    finding = found(maestro, "nodes")
    assert finding["verdict"] == "warning"
    assert "holds 2 jobs" in finding["says"]
    conn.execute("update cluster set system_identifier = '1'")
    assert "restored, copied or promoted" in found(maestro, "identity")["says"]
    assert {"identity", "nodes"} <= set(maestro("doctor", "-q").out.split())


def test_a_pilot_that_was_killed(newcomer: Maestro) -> None:
    newcomer.line("up --detach --cpus 1")
    assert "is online, 0 of 1 CPU slot in use" in found(newcomer, "node")["says"]
    assert found(newcomer, "keepers")["verdict"] == "ok"
    [pilot] = newcomer("pilot", "list", "-o", "json").json
    for keeper in pilot["keepers"]:
        os.kill(keeper["pid"], signal.SIGKILL)
    os.kill(pilot["pid"], signal.SIGKILL)
    wait_until(lambda: found(newcomer, "node")["verdict"] == "warning")
    assert found(newcomer, "node")["remedy"].startswith("maestro pilot run -n ")
