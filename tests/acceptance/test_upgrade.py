"""The package is replaced under a working pilot: nothing running is touched, and the new version takes over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

import orchestra
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.store.driver.database import connect
from support.cluster import Cluster
from support.maestro import Maestro
from support.processes import lives
from support.waiting import wait_until

PACKAGE = Path(orchestra.__file__).parent
RUNNING, DONE = JobState.RUNNING, JobState.DONE


@dataclass
class Site:
    """A folder where the package is installed, as pip would: the files are replaced in their place."""

    folder: Path

    def install(self, version: str) -> None:
        """Put a version in the place of the one before.

        Its modules refuse to be imported by a process of another version: that would be a mixture that nobody has
        tested. The keeper is run by path and imports nothing.
        """
        new = self.folder / f"new-{version}"
        shutil.copytree(PACKAGE, new, ignore=shutil.ignore_patterns("__pycache__"))
        (new / "__init__.py").write_text(f'__version__ = "{version}"\n')
        for module in new.rglob("*.py"):
            if module.name not in ("__init__.py", "keeper.py"):
                with module.open("a") as file:
                    file.write(_GUARD.format(version=version))
        if (self.folder / "orchestra").exists():
            shutil.rmtree(self.folder / "orchestra")
        new.rename(self.folder / "orchestra")


_GUARD = """

import orchestra as _whole  # noqa
if _whole.__version__ != "{version}":
    raise ImportError(f"{{__name__}} of version {version} in a process of version {{_whole.__version__}}")
"""


@pytest.fixture
def site(tmp_path: Path, maestro: Maestro) -> Site:
    """Where maestro's commands come from."""
    folder = tmp_path / "site"
    folder.mkdir()
    maestro.env["PYTHONPATH"] = str(folder)
    return Site(folder)


@pytest.fixture
def cluster(
    tcp_database_url: str, tmp_path: Path, maestro: Maestro, site: Site
) -> Iterator[Cluster]:
    """A node of three slots; what runs on it is ended by the version that is installed last."""
    folder = tmp_path / "volume"
    folder.mkdir()
    with connect(tcp_database_url) as conn:
        cluster = Cluster(conn, tcp_database_url, folder)
        cluster.node(cpu=3)
        yield cluster
        maestro("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)
        wait_until(lambda: maestro.pilot()["state"] == "offline", 30)


def _start(maestro: Maestro) -> Any:
    maestro("pilot", "run", "-n", "gauss", "-m", "--detach")
    return maestro.pilot()


def _task(cluster: Cluster, name: str, jobs: int, gate: Path | None) -> Task:
    """A task whose jobs wait for the gate, and say which attempt they are."""
    wait = f"until [ -e '{gate}' ]; do sleep 0.05; done; " if gate else ""
    data = "user.ana.data" if (cluster.folder / "data.txt").exists() else None
    return cluster.task(
        jobs, f": %DATA %IN %OUT; {wait}echo $ORCHESTRA_ATTEMPT", name=name, data=data
    )


def _running(cluster: Cluster, task: Task) -> int:
    return cluster.jobs(task).count(RUNNING)


def test_jobs_run_on_while_the_package_is_replaced(
    maestro: Maestro, cluster: Cluster, site: Site, tmp_path: Path
) -> None:
    site.install("0.7a")
    first = _start(maestro)
    assert first["version"] == "0.7a"
    old_gate, new_gate = tmp_path / "old", tmp_path / "new"
    old = _task(cluster, "old", 2, old_gate)
    wait_until(lambda: _running(cluster, old) == 2, 30)
    [keeper] = maestro.pilot()["keepers"]
    assert (keeper["version"], keeper["jobs"]) == ("0.7a", 2)

    # The files are new, the processes are old: they go on working, also after a lost connection.
    site.install("0.8b")
    _cut_connections(cluster.conn)
    quick = _task(cluster, "quick", 3, None)
    cluster.wait_for(quick, TaskState.DONE, timeout=60)
    assert (maestro.pilot()["pid"], maestro.pilot()["version"]) == (first["pid"], "0.7a")
    log = next(Path(maestro.env["MAESTRO_STATE_DIR"]).rglob("agent.log"))
    assert "Error" not in log.read_text()

    # A pilot of the new version takes over; what runs stays where it is.
    second = _start(maestro)
    assert second["version"] == "0.8b"
    wait_until(lambda: not lives(first["pid"]), 30)
    new = _task(cluster, "new", 3, new_gate)
    wait_until(lambda: _running(cluster, new) == 1, 30)
    versions = {k["version"]: (k["pid"], k["jobs"]) for k in maestro.pilot()["keepers"]}
    assert versions["0.7a"] == (keeper["pid"], 2)
    assert versions["0.8b"][1] == 1, "slots are counted over both keepers"
    assert "2 jobs under version 0.7a" in maestro("pilot", "list").out
    assert _running(cluster, old) == 2

    # The old keeper ends when its jobs have ended; their slots are the new one's then.
    assert lives(keeper["pid"])
    old_gate.touch()
    cluster.wait_for(old, TaskState.DONE)
    wait_until(lambda: not lives(keeper["pid"]), 30)
    wait_until(lambda: _running(cluster, new) == 2 + 1, 30)
    wait_until(lambda: [k["version"] for k in maestro.pilot()["keepers"]] == ["0.8b"], 30)
    new_gate.touch()
    cluster.wait_for(new, TaskState.DONE)
    for task in (old, quick, new):
        assert cluster.attempts(task) == [
            (job, 1, "exit", 0, None, None) for job in range(task.jobs)
        ]
        assert [(cluster.out(task, job) / "job.log").read_text() for job in range(task.jobs)] == (
            ["1\n"] * task.jobs
        )


def _cut_connections(conn: psycopg.Connection) -> None:
    conn.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )


def test_a_pilot_that_is_upgraded_and_killed_at_once(
    maestro: Maestro, cluster: Cluster, site: Site, tmp_path: Path
) -> None:
    """The outcomes that the old keeper saw while nobody listened are reported by the new version."""
    site.install("0.7a")
    first = _start(maestro)
    gate = tmp_path / "gate"
    task = _task(cluster, "old", 2, gate)
    wait_until(lambda: _running(cluster, task) == 2, 30)
    os.kill(first["pid"], 9)
    site.install("0.8b")
    gate.touch()
    second = _start(maestro)
    assert second["version"] == "0.8b"
    cluster.wait_for(task, TaskState.DONE)
    assert cluster.attempts(task) == [(job, 1, "exit", 0, None, None) for job in range(2)]
