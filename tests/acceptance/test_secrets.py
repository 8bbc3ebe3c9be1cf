"""Where passwords must not be: command lines, environments of jobs and keepers, logs, answers, the database."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from support.maestro import Maestro
from support.waiting import wait_until

MAIL = "mail-horse-battery-staple"


@pytest.fixture
def password(tcp_database_url: str) -> str:
    found = re.fullmatch(r"postgresql://[^:]+:([^@]+)@.*", tcp_database_url)
    assert found
    return found[1]


@pytest.fixture
def user(newcomer: Maestro, tcp_database_url: str, password: str) -> Iterator[Maestro]:
    """Somebody whose secrets are in their environment, where everything that they start can see them."""
    del newcomer.env["MAESTRO_DATA_DIR"]
    newcomer.env |= {
        "MAESTRO_POSTGRES": tcp_database_url,
        "MAESTRO_NODE": "gauss",
        "MAESTRO_EMAIL": "ana@example.org",
        "MAESTRO_PASSWORD": MAIL,
        "PGPASSWORD": password,
    }
    yield newcomer
    newcomer.line("down --kill --yes", status=None)


def read(path: Path) -> bytes:
    """The content of a file that may go at any moment."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def processes(user: Maestro) -> list[tuple[bytes, bytes]]:
    """The command line and environment of all that this user has started; tests beside this one have secrets, too."""
    mine = f"HOME={user.home}".encode()
    found = [
        (read(place / "cmdline"), read(place / "environ")) for place in Path("/proc").glob("[0-9]*")
    ]
    return [(line, environment) for line, environment in found if mine in environment.split(b"\0")]


TOOLS = ("podman", "docker", "apptainer", "singularity")


@pytest.fixture
def environments(user: Maestro, tmp_path: Path) -> Path:
    """Where programs that a pilot or a command may start write down with which environment that was."""
    folder, programs = tmp_path / "environments", tmp_path / "programs"
    folder.mkdir()
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).write_text(f"#!/bin/sh\nenv > '{folder}'/{tool}.$$; exit 1\n")
        (programs / tool).chmod(0o755)
    user.env["PATH"] = f"{programs}:{os.environ['PATH']}"
    return folder


def test_secrets_stay_where_they_are(
    user: Maestro, tcp_database_url: str, password: str, tmp_path: Path, environments: Path
) -> None:
    secrets = (password.encode(), MAIL.encode())

    def tells(content: bytes | str) -> bool:
        text = content if isinstance(content, bytes) else content.encode()
        return any(secret in text for secret in secrets)

    said = []
    for name in ("grid", "data"):
        (user.folder / name).mkdir()
        (user.folder / name / "a.txt").write_text(name)
        said.append(user("dataset", "create", "-n", f"user.ana.{name}", "-p", name))
    gate = user.folder / "gate"
    command = f"env > %OUT/env; : %IN %DATA; until [ -e {gate} ]; do sleep 0.05; done; exit 3"
    said.append(
        user(
            "task", "create", "-t", "user.ana.work", "-c", "user.ana.grid", "-d", "user.ana.data",
            "-v", user.folder, "--bypass", "--exec", command,
        )
    )  # fmt: skip
    said.append(user.line("up --detach"))
    environment = wait_until(lambda: next(user.folder.glob("**/env"), None), 40)
    assert environment
    wait_until(lambda: b"ORCHESTRA_JOB" in read(environment))

    running = processes(user)
    assert not [line for line, _ in running if tells(line)]
    assert not tells(read(environment))
    assert b"MAESTRO_" not in read(environment)
    keepers = [given for line, given in running if b"/keeper.py" in line]
    assert keepers
    assert not any(map(tells, keepers))

    # The connection is lost while jobs run, so that all that is said then is said.
    with psycopg.connect(tcp_database_url, autocommit=True) as conn:
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
    gate.touch()
    said.append(user("task", "wait", "user.ana.work", status=None, timeout=90))
    lines_typed = (
        "node list", "pilot list -o json", "job show 0/0", "doctor", "mail list", "db status",
    )  # fmt: skip
    said += [user.line(line, status=None) for line in lines_typed]
    assert not [answer for answer in said if tells(answer.out + answer.err)]

    given = {path.name.partition(".")[0]: read(path) for path in environments.iterdir()}
    assert given.keys() == set(TOOLS)
    assert not [name for name, text in given.items() if tells(text) or b"MAESTRO_" in text]

    logs = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "agent.log" for path in logs)
    assert not [path for path in logs if tells(read(path))]

    with psycopg.connect(tcp_database_url) as conn:
        tables = conn.execute(
            "select tablename from pg_tables where schemaname = 'orchestra'"
        ).fetchall()
        assert tables
        for (table,) in tables:
            query = sql.SQL("select t::text from orchestra.{} t").format(sql.Identifier(table))
            assert not [row for (row,) in conn.execute(query) if tells(row)], table
