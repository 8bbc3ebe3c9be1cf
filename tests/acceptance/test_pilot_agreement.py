"""What a node has and what the database thinks that it has are the same, whatever dies in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

import orchestra
from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.pilot.keeper_messages import Hello
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle, standstill
from support.cluster import Cluster
from support.people import as_admin
from support.proxy import cable
from support.waiting import wait_until

NEEDS = ": %DATA %IN %OUT; "


@pytest.fixture
def cluster(conn: psycopg.Connection, tcp_database_url: str, tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(conn, tcp_database_url, tmp_path)
    yield found
    found.end()


def test_a_grant_for_a_keeper_that_has_died_meanwhile_goes_back(cluster: Cluster) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    with cable(cluster.url) as slow:
        cluster.pilot("gauss", "--lease=600", url=slow.url(cluster.url))
        keeper = cluster.keeper()
        registered = "select from keeper where id = %s"
        wait_until(lambda: cluster.conn.execute(registered, [keeper.keeper]).fetchone() is not None)
        slow.delay = 0.8
        task = cluster.task(3, NEEDS)
        granted = "select from attempt where keeper_id = %s"
        wait_until(
            lambda: cluster.conn.execute(granted, [keeper.keeper]).fetchone() is not None,
            30,
            cluster.log,
        )
        os.kill(keeper.pid, signal.SIGKILL)
        slow.delay = 0.0  # for what is not on its way yet
        cluster.wait_for(task, TaskState.DONE, timeout=25)


def test_of_two_pilots_that_start_at_once_one_works_and_every_keeper_keeps_its_folder(
    cluster: Cluster,
) -> None:
    cluster.node("gauss", cpu=1)
    task = cluster.task(2, NEEDS)
    pilots = [cluster.pilot(), cluster.pilot()]
    cluster.wait_for(task, TaskState.DONE, timeout=60)
    wait_until(lambda: [pilot.poll() for pilot in pilots].count(0) == 1, 30, cluster.log)
    folders = folders_of_keepers(cluster.home() / "keepers")
    assert folders
    assert all((folder / "socket").exists() for folder in folders)


def folders_of_keepers(below: Path) -> list[Path]:
    """Where the living keepers were told to be, whether or not that is still there."""
    found = []
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = arguments.read_bytes().split(b"\0")
            found += [
                Path(os.fsdecode(word)) for word in words if word.startswith(os.fsencode(below))
            ]
    return found


def test_a_stop_that_its_agent_never_heard_of_holds_for_the_one_that_its_keeper_starts(
    cluster: Cluster,
) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    task = cluster.task(2, NEEDS + "sleep 1000", grace=1.0)
    pilot = cluster.pilot("gauss", "--successor-after=0.5")
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    pilot.kill()
    pilot.wait()
    assert nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss", now=True)
    wait_until(lambda: not cluster.keepers("gauss"), 30, cluster.log)
    wait_until(lambda: cluster.successors() == [])
    assert cluster.jobs(task) == [JobState.ASSIGNED] * 2
    assert [attempt[2:4] for attempt in cluster.attempts(task)] == [("lease", None)]


def test_a_stop_in_the_middle_of_a_hand_over_is_not_forgotten(cluster: Cluster) -> None:
    """The agent goes to the background, and is told to end its jobs before the next one has begun."""
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    task = cluster.task(1, NEEDS + "trap 'sleep 1; exit 1' TERM; sleep 1000 & wait", grace=5.0)
    with cable(cluster.url) as wire:
        pilot = cluster.pilot("gauss", "--terminal", url=wire.url(cluster.url))
        cluster.wait_for_job(task, 0, JobState.RUNNING)
        wire.unplug()
        pilot.send_signal(signal.SIGINT)
        assert pilot.wait(20) == 0
        assert nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss", now=True)
        wire.plug()
        wait_until(lambda: not cluster.keepers("gauss"), 30, cluster.log)
    assert cluster.jobs(task) == [JobState.ASSIGNED]
    assert [attempt[2] for attempt in cluster.attempts(task)] == ["lease"]


def test_a_node_that_is_deleted_and_made_again_works_at_once(cluster: Cluster) -> None:
    cluster.node("gauss", cpu=1)
    cluster.node("euler", cpu=0)
    cluster.pilot("euler", "--master")
    cluster.pilot("gauss", "--lease=600")
    cluster.wait_for(cluster.task(2, NEEDS), TaskState.DONE)
    keeper, remembered = str(cluster.keeper().keeper), cluster.home() / "database.json"
    wait_until(lambda: keeper in json.loads(remembered.read_text())["acknowledged"])
    nodes.stop(cluster.conn, as_admin(cluster.conn), "gauss")
    assert cluster.pilots[-1].wait(30) == 0
    nodes.delete(cluster.conn, as_admin(cluster.conn), "gauss")
    cluster.node("gauss", cpu=1)
    config = cluster.configs(2, "more")
    again = cluster.task(2, NEEDS, name="again", config=config, data="user.ana.data")
    cluster.pilot("gauss", "--lease=600")
    cluster.wait_for(again, TaskState.DONE, timeout=20)
    assert standstill.state(cluster.conn) is None


# A keeper that speaks another protocol

PACKAGE = Path(orchestra.__file__).parent


@pytest.fixture
def other_version(tmp_path: Path) -> dict[str, str]:
    """The environment of a pilot of a version that speaks protocol 2 alone."""
    site = tmp_path / "other version"
    shutil.copytree(PACKAGE, site / "orchestra", ignore=shutil.ignore_patterns("__pycache__"))
    (site / "orchestra/__init__.py").write_text('__version__ = "99"\n')
    keeper = site / "orchestra/pilot/keeper.py"
    keeper.write_text(keeper.read_text().replace("PROTOCOL = 1", "PROTOCOL = 2"))
    return {"PYTHONPATH": os.pathsep.join([str(site), *sys.path])}


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    folder = tmp_path / "gates"
    folder.mkdir()
    return folder


def waiting(gates: Path) -> str:
    """A command that notes that it is alive every 50 ms, until there is a gate of its task and job."""
    name = f"{gates}/$ORCHESTRA_TASK.$ORCHESTRA_JOB"
    beat = f'echo "$ORCHESTRA_ATTEMPT $(date +%%s.%%N)" >> {name}.beats'
    return NEEDS + f"until [ -e {name} ]; do {beat}; sleep 0.05; done; {beat}; "


def beats(gates: Path, task: Task, job: int) -> dict[int, list[float]]:
    """When each attempt of a job was alive."""
    found: dict[int, list[float]] = {}
    path = gates / f"{task.id}.{job}.beats"
    for line in path.read_text().splitlines() if path.exists() else []:
        number, moment = line.split()
        found.setdefault(int(number), []).append(float(moment))
    return found


def upgrade(cluster: Cluster, other: dict[str, str], task: Task, *flags: str) -> Hello:
    """Have a job run by a pilot of the other version, and one of this version take over; gives the other's keeper."""
    before = cluster.pilot("gauss", "--master", *flags, env=other)
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    keeper = cluster.keeper()
    assert keeper.protocol == 2
    cluster.pilot("gauss", "--master", *flags)
    assert before.wait(30) == 0
    return keeper


def test_a_keeper_of_another_protocol_keeps_its_jobs_and_the_node_works_on(
    cluster: Cluster, other_version: dict[str, str], gates: Path
) -> None:
    cluster.node("gauss", cpu=3)
    old = cluster.task(2, waiting(gates) + "exit 7", name="old", grace=1.0)
    keeper = upgrade(cluster, other_version, old)
    wait_until(lambda: cluster.jobs(old) == [JobState.RUNNING] * 2)
    config = cluster.configs(3, "more")
    new = cluster.task(3, waiting(gates), name="new", config=config, data="user.ana.data")
    cluster.wait_for_job(new, 0, JobState.RUNNING)  # somebody conducts, and there is one slot
    message = "uses another protocol and keeps 2 jobs"
    wait_until(lambda: message in str(nodes.get(cluster.conn, "gauss").message))
    assert cluster.jobs(new).count(JobState.RUNNING) == 1
    (gates / f"{old.id}.0").touch()
    cluster.wait_for_job(old, 0, JobState.FAILED)
    lifecycle.kill_jobs(cluster.conn, old.id, [1], by="ana")
    cluster.wait_for_job(old, 1, JobState.KILLED)
    assert [row[1:5] for row in cluster.attempts(old)] == [
        (1, "exit", 7, None),
        (1, "ended", None, 15),
    ]
    for job in range(3):
        (gates / f"{new.id}.{job}").touch()
    cluster.wait_for(new, TaskState.DONE)
    wait_until(lambda: keeper.keeper not in {one.keeper for one in cluster.keepers()}, 20)
    wait_until(lambda: len(list(cluster.home().glob("keepers/*"))) == 1, 20, cluster.log)
    wait_until(lambda: nodes.get(cluster.conn, "gauss").message is None, 20)
    gone = "select gone_at is not null from keeper where id = %s"
    assert cluster.conn.execute(gone, [keeper.keeper]).fetchone() == (True,)


def test_a_keeper_of_another_protocol_ends_its_jobs_with_its_lease_and_they_run_again(
    cluster: Cluster, other_version: dict[str, str], gates: Path
) -> None:
    cluster.node("gauss", cpu=1)
    task = cluster.task(1, waiting(gates), grace=0.5)
    upgrade(cluster, other_version, task, "--lease=4", "--margin=1")
    wait_until(lambda: beats(gates, task, 0).get(2), 40, cluster.log)
    (gates / f"{task.id}.0").touch()
    cluster.wait_for(task, TaskState.DONE)
    alive = beats(gates, task, 0)
    assert max(alive[1]) < min(alive[2])
    assert [row[1:3] for row in cluster.attempts(task)] == [(1, "lease"), (2, "exit")]


def test_a_keeper_of_another_protocol_that_dies_loses_its_jobs(
    cluster: Cluster, other_version: dict[str, str], gates: Path
) -> None:
    cluster.node("gauss", cpu=1)
    task = cluster.task(1, waiting(gates), grace=0.5)
    keeper = upgrade(cluster, other_version, task)
    wait_until(lambda: len(cluster.keepers()) == 2, 20, cluster.log)
    os.kill(keeper.pid, signal.SIGKILL)
    wait_until(lambda: beats(gates, task, 0).get(2), 20, cluster.log)
    (gates / f"{task.id}.0").touch()
    cluster.wait_for(task, TaskState.DONE)
    alive = beats(gates, task, 0)
    assert max(alive[1]) < min(alive[2])
    assert [row[1:3] for row in cluster.attempts(task)] == [(1, "lost"), (2, "exit")]
