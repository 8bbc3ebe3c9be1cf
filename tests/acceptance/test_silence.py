"""A way to the database that falls silent without a word: pilots work again, people are told."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.states import TaskState
from support.cluster import Cluster
from support.maestro import Maestro
from support.proxy import Cable, cable
from support.waiting import wait_until


@pytest.fixture
def line(tcp_database_url: str) -> Iterator[Cable]:
    with cable(tcp_database_url) as found:
        yield found


@pytest.fixture
def cluster(conn: psycopg.Connection, tcp_database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(conn, tcp_database_url, tmp_path)
    yield found
    found.end()


@pytest.fixture
def ana(maestro: Maestro, line: Cable, tcp_database_url: str) -> Maestro:
    """Ana, whose way to the database is the line."""
    maestro.configure(postgres=line.url(tcp_database_url), email="ana@example.org", username="ana")
    return maestro


def test_a_pilot_whose_connections_fall_silent_works_again_within_20_s(
    cluster: Cluster, line: Cable
) -> None:
    cluster.node()
    cluster.pilot(url=line.url(cluster.url))
    cluster.wait_for(cluster.task(1, "true %DATA %IN %OUT", name="first"), TaskState.DONE)
    line.mute()
    began = time.monotonic()
    task = cluster.task(2, "true %DATA %IN %OUT", name="second", data="user.ana.data")
    cluster.wait_for(task, TaskState.DONE, timeout=25)
    assert time.monotonic() - began < 20
    assert "does not answer" in cluster.log()


@pytest.mark.parametrize("after", [0, 600])
def test_a_command_says_so_within_10_s(ana: Maestro, line: Cable, after: int) -> None:
    ana("task", "list")
    line.mute_everybody(after=after)  # all, or what comes after the handshake
    began = time.monotonic()
    said = ana.refused("task", "list")
    assert time.monotonic() - began < 10
    assert f"the database at 127.0.0.1:{line.port}" in said
    assert "does not answer" in said.splitlines()[0]


@pytest.mark.parametrize(
    "command",
    ["task wait 0", "task list --watch", "task show 0 --watch", "job logs 0/0 -f"],
)
def test_who_waits_is_told_and_goes_on(
    cluster: Cluster, ana: Maestro, line: Cable, command: str, tmp_path: Path
) -> None:
    cluster.node()
    gate = tmp_path / "gate"
    task = cluster.task(1, f"echo begun; until [ -e {gate} ]; do sleep 0.1; done; : %DATA %IN %OUT")
    cluster.pilot()
    cluster.wait_for(task, TaskState.RUNNING)
    with (tmp_path / "said").open("w") as output:
        waiting = ana.start(*command.split(), stdout=output, stderr=output)

    def said() -> str:
        return (tmp_path / "said").read_text()

    wait_until(said, 15)
    line.mute()
    wait_until(lambda: "does not answer. Waiting for it." in said(), 20, said)
    wait_until(lambda: "The database is back." in said(), 20, said)
    gate.touch()
    cluster.wait_for(task, TaskState.DONE)
    if command == "task list --watch":
        waiting.send_signal(signal.SIGINT)
    assert waiting.wait(20) == 0, said()
