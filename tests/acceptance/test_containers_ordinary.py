"""Containers of an ordinary user's pilot."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.states import TaskState
from orchestra.services.tasks import lifecycle
from support import pilot_process
from support.cluster import Cluster
from support.containers import IMAGE, Engine
from support.ordinary import PACKAGES, SOURCE, Ordinary
from support.processes import with_text
from support.waiting import wait_until


@pytest.fixture
def cluster(
    conn: psycopg.Connection, tcp_database_url: str, ordinary: Ordinary
) -> Iterator[Cluster]:
    folder = ordinary.home / "work"
    folder.mkdir()
    found = Cluster(conn, tcp_database_url, folder)
    yield found
    found.end()


@pytest.fixture
def ordinary_docker(docker: Engine, ordinary: Ordinary) -> Iterator[Engine]:
    """Docker, with a socket that the user can access for now."""
    socket = docker.env["DOCKER_HOST"].removeprefix("unix://")
    os.chown(socket, ordinary.uid, ordinary.gid)
    yield docker
    os.chown(socket, 0, 0)


@pytest.fixture(params=["apptainer", "podman", "docker"])
def engine(request: pytest.FixtureRequest) -> tuple[Engine, str]:
    """That user's runtime with an image."""
    found: Engine = request.getfixturevalue(f"ordinary_{request.param}")
    if request.param != "apptainer":
        return found, f"docker://{IMAGE}"
    return found, str(request.getfixturevalue("busybox_sif"))


def start(cluster: Cluster, engine: Engine, user: Ordinary) -> None:
    """Start a pilot as that user."""
    cluster.node()
    python = user.interpreter()
    assert python
    words = [
        python, pilot_process.__file__, cluster.url, "gauss", str(cluster.home()), "--master",
        f"--runtime={engine.program}",
    ]  # fmt: skip
    tests = Path(pilot_process.__file__).parents[1]
    env = {
        "HOME": str(user.home),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, (SOURCE, tests, PACKAGES))),
        **engine.env,
    }
    process = subprocess.Popen(
        words, env=env, cwd=user.home, user=user.uid, group=user.gid, extra_groups=[],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True, start_new_session=True,
    )  # fmt: skip
    cluster.pilots.append(process)


def give(cluster: Cluster, user: Ordinary) -> None:
    """Make the user the owner of the test's files."""
    for path in (cluster.folder, *cluster.folder.rglob("*")):
        os.chown(path, user.uid, user.gid)


def mounts(user: Ordinary) -> bool:
    """Whether that user can mount a SIF."""
    return user.run("sh", "-c", "exec 3<> /dev/fuse").returncode == 0


def test_jobs_belong_to_their_user_and_leave_nothing(
    cluster: Cluster, engine: tuple[Engine, str], ordinary: Ordinary
) -> None:
    runtime, image = engine
    nap = f"sleep {100_000 + secrets.randbelow(900_000)}.5"  # only in this test
    command = f"id -u > uid; touch %OUT/x; cat %IN > in; test -e %DATA; grep -q 0 %IN || exit 0; echo up; {nap}"
    task = cluster.task(2, command, image=image, account="nobody")
    give(cluster, ordinary)
    start(cluster, runtime, ordinary)
    log = cluster.out(task, 0) / "job.log"
    wait_until(
        lambda: log.exists() and "up" in log.read_text(),
        60,
        lambda: (cluster.log(), cluster.attempts(task)),
    )
    lifecycle.kill_jobs(cluster.conn, task.id, [0], by="ana")
    cluster.wait_for(task, TaskState.FINALIZED, timeout=60)
    assert [row[2] for row in cluster.attempts(task)] == ["ended", "exit"]
    out = cluster.out(task, 1)
    if runtime.program == "apptainer" and not mounts(ordinary):
        assert [path.is_dir() for path in cluster.home().glob("images/*.sandbox")] == [True]
    # Without entries in /etc/subuid, podman has one account inside, called root.
    inside = "0" if runtime.program == "podman" else str(ordinary.uid)
    assert (out / "uid").read_text().strip() == inside
    assert (out / "x").stat().st_uid == ordinary.uid
    assert with_text(nap) == []
