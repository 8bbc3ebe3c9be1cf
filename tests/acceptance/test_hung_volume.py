"""A volume that does not answer is named, by whoever touches it, and keeps no command and no killed job from ending."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import orchestra
from orchestra.domain.errors import VolumeError
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.files import fs_health
from orchestra.services.jobs import views
from orchestra.services.nodes import nodes
from orchestra.services.tasks import lifecycle
from support import mounts
from support.cluster import Cluster
from support.maestro import Maestro
from support.waiting import wait_until

NEEDS = ": %DATA %IN %OUT; "
COMMANDS = (
    "job logs 0/0",
    "job logs -f 0/0",
    "task clean 0 --yes",
    "task delete 0 --remove --yes",
    "dataset create -n user.ana.more -p {volume}/rows",
    "dataset update -n user.ana.rows",
    "dataset sweep -n user.ana.sweep -p {volume}/sweep grid.yaml",
    "task create -c user.ana.configs -d user.ana.rows -t user.ana.new -v {volume} --exec 'cat %DATA %IN > %OUT/x'",
    "job run --here 0/0",
    "doctor",
)
STILL = (
    "job show 0/0",
    "task show 0",
    "job explain 0/0",
    "task list -a",
    "task results 0",
    "task results 0 -o csv",
)
"""Commands that need no volume."""


@pytest.fixture
def ana(newcomer: Maestro, database_url: str) -> Maestro:
    newcomer.configure(postgres=database_url, email="ana@example.org", username="ana")
    return newcomer


@pytest.fixture
def volume(cluster: Cluster) -> Iterator[Path]:
    """A volume with a data set and the results of a task, which does not answer any more."""
    cluster.node()
    volume = cluster.folder / "volume"
    (volume / "rows").mkdir(parents=True)
    for name in ("a.csv", "b.csv"):
        (volume / "rows" / name).write_text("1\n")
    data, config = cluster.dataset("rows", volume / "rows"), cluster.configs(1, "configs")
    command = NEEDS + "echo said; echo '{\"loss\": 1}' > %OUT/metrics.json"
    task = cluster.task(1, command, data=data, config=config, volume=volume)
    pilot = cluster.pilot()
    cluster.wait_for(task, TaskState.DONE)
    pilot.terminate()
    pilot.wait()
    with mounts.hung(volume):
        yield volume


@pytest.mark.needs("root")
@pytest.mark.slow
def test_every_command_names_a_volume_that_does_not_answer(ana: Maestro, volume: Path) -> None:
    ana.env["MAESTRO_VOLUME"] = str(volume)
    (ana.folder / "grid.yaml").write_text("grid: {a: [1, 2]}\n")
    typed = [
        shlex.split(command.replace("{volume}", shlex.quote(str(volume)))) for command in COMMANDS
    ]
    with ThreadPoolExecutor(len(typed)) as people:
        said = list(people.map(lambda words: ana(*words, status=None, timeout=120), typed))
    for one in said:
        assert str(volume) in one.out + one.err, one
        assert "does not answer" in one.err + one.out or "did not answer" in one.out, one
    assert said[0].out == said[1].out == "said\n"
    for command in STILL:
        ana.line(command)


@pytest.mark.needs("root")
def test_the_client_names_a_volume_that_does_not_answer(
    database_url: str, volume: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(fs_health, "PATIENCE", 1.0)
    with orchestra.Client(postgres=database_url, username="ana", email="a@example.org") as client:
        task = client.tasks.get(0)
        assert [row["loss"] for row in task.results()] == [1]
        assert task.logs(0) == "said\n"
        with pytest.raises(VolumeError, match="does not answer"):
            client.datasets.create("user.ana.new", volume / "rows")


@pytest.mark.needs("root")
def test_a_killed_job_ends_though_its_volume_does_not_answer(cluster: Cluster) -> None:
    """And node list, job show and job explain name the volume while it runs."""
    cluster.node(cpu=1)
    volume = cluster.folder / "volume"
    volume.mkdir()
    task = cluster.task(1, NEEDS + "cd /; sleep 600", volume=volume)
    cluster.pilot("gauss", "--master", "--stall-after=1")
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    with mounts.hung(volume):
        named = f"the volume {volume} does not answer"
        wait_until(lambda: named in (nodes.get(cluster.conn, "gauss").message or ""))
        (waits,) = views.show(cluster.conn, "0/0").waits
        assert (
            waits == f"The volume {volume} does not answer on node gauss; the job may wait for it."
        )
        lifecycle.apply(cluster.conn, task.id, TaskInput.KILL, by="ana")
        cluster.wait_for(task, TaskState.KILLED)
        ((*_, reason),) = cluster.attempts(task)
        assert reason.endswith(f"its folder could not be read: {named}")
    wait_until(lambda: not nodes.get(cluster.conn, "gauss").message, describe=cluster.log)


@pytest.mark.needs("root")
def test_a_result_waits_for_its_volume(cluster: Cluster, tmp_path: Path) -> None:
    cluster.node(cpu=1)
    volume, gate = cluster.folder / "volume", tmp_path / "gate"
    volume.mkdir()
    wait = f"cd /; until [ -e {shlex.quote(str(gate))} ]; do sleep 0.02; done"
    task = cluster.task(1, NEEDS + wait, volume=volume)
    cluster.pilot("gauss", "--master", "--stall-after=1")
    cluster.wait_for_job(task, 0, JobState.RUNNING)
    with mounts.hung(volume):
        gate.touch()
        wait_until(lambda: views.show(cluster.conn, "0/0").waits)
        assert cluster.jobs(task) == [JobState.RUNNING]
    cluster.wait_for(task, TaskState.DONE)
