"""Images of registries and archives: fetched once per node, with errors reported before a job starts."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestra.domain.models.tasks import Task
from orchestra.domain.states import JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.services.nodes import nodes
from orchestra.services.tasks.lifecycle import apply
from support.cluster import Cluster
from support.containers import IMAGE, Engine, Registry
from support.maestro import Maestro
from support.waiting import wait_until

COMMAND = ": %DATA %IN %OUT"


@pytest.fixture(params=["apptainer", "podman"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def nobody_listens() -> Iterator[str]:
    """The address of an image at a registry that does not answer."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        yield f"docker://127.0.0.1:{closed.getsockname()[1]}/ana/x:1"


def pilot(cluster: Cluster, engine: Engine, *flags: str, env: dict[str, str] | None = None) -> None:
    cluster.pilot(
        "gauss",
        "--master",
        f"--runtime={engine.program}",
        *flags,
        env={**engine.env, **(env or {})},
    )


def digests(cluster: Cluster, task: Task) -> set[str]:
    rows = cluster.conn.execute(
        "select image_digest from attempt where task_id = %s and cause = 'exit'", [task.id]
    )
    return {row[0] for row in rows}


def message(cluster: Cluster) -> str:
    return nodes.get(cluster.conn, "gauss").message or ""


@pytest.mark.parametrize("engine", ["apptainer", "podman", "docker"], indirect=True)
def test_image_of_a_registry_is_fetched_once(
    cluster: Cluster, engine: Engine, podman: Engine, registry: Registry
) -> None:
    address = registry.push(podman, "ana/bb:1")
    cluster.node(cpu=3)
    pilot(cluster, engine, env=dict(registry.env))
    task = cluster.task(5, COMMAND, image=f"docker://{address}")
    cluster.wait_for(task, TaskState.DONE, timeout=90)
    (digest,) = digests(cluster, task)
    files = list(cluster.folder.glob("pilots/gauss/images/*.sif"))
    if engine.program != "apptainer":
        assert files == []
    else:
        (file,) = files
        assert digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
        written = file.stat().st_mtime_ns
        again = cluster.task(2, COMMAND, name="again", image=address, data=task_data(task))
        cluster.wait_for(again, TaskState.DONE, timeout=60)
        assert file.stat().st_mtime_ns == written
        assert digests(cluster, again) == {digest}


def task_data(task: Task) -> str:
    return "user.ana.data"


def test_failed_pull_breaks_the_test_with_the_runtimes_words(
    maestro: Maestro, cluster: Cluster, engine: Engine, nobody_listens: str
) -> None:
    cluster.node(cpu=2)
    pilot(cluster, engine)
    task = cluster.task(20, COMMAND, image=nobody_listens, test_jobs=2, retries=5)
    cluster.wait_for(task, TaskState.BROKEN, timeout=60)
    attempts = cluster.attempts(task)
    assert {row[0] for row in attempts} == {0, 1}
    causes = {row[2] for row in attempts}
    assert causes <= {"no_container", "returned"}
    reason = next(row[5] for row in attempts if row[2] == "no_container")
    ours, theirs = reason.split(" says: ")
    assert "cannot be reached from this node" in ours
    assert "refused" in theirs
    assert "curl -I https://127.0.0.1:" in theirs
    for command in ("job explain 0/3", "task show 0"):
        told = maestro(*command.split()).out
        assert "cannot be reached from this node" in told, command
        assert "job logs" not in told, command


def test_failed_pull_does_not_fail_jobs_of_a_running_task(
    cluster: Cluster, apptainer: Engine, nobody_listens: str
) -> None:
    cluster.node(cpu=2)
    pilot(cluster, apptainer)
    task = cluster.task(8, COMMAND, image=nobody_listens)
    wait_until(lambda: "cannot run here" in message(cluster), 60, lambda: message(cluster))
    assert set(cluster.jobs(task)) == {JobState.ASSIGNED}
    row = cluster.conn.execute("select sum(failures), sum(losses) from job").fetchone()
    assert row == (0, 0)
    other = cluster.task(2, COMMAND, name="other", data="user.ana.data")
    cluster.wait_for(other, TaskState.DONE, timeout=30)
    assert cluster.state(task) is TaskState.RUNNING


@pytest.fixture
def silent_registry() -> Iterator[str]:
    """A server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def without_tls(folder: Path, address: str) -> dict[str, str]:
    """The variables that allow Apptainer and podman to use a registry without TLS."""
    insecure = folder / "registries.conf"
    insecure.write_text(f'[[registry]]\nlocation = "{address}"\ninsecure = true\n')
    return {"APPTAINER_NOHTTPS": "true", "CONTAINERS_REGISTRIES_CONF": str(insecure)}


def test_pilot_continues_during_a_fetch_and_cancels_an_unneeded_one(
    maestro: Maestro, cluster: Cluster, engine: Engine, silent_registry: str, tmp_path: Path
) -> None:
    cluster.node(cpu=2)
    pilot(cluster, engine, env=without_tls(tmp_path, silent_registry))
    image = f"docker://{silent_registry}/ana/x"
    task = cluster.task(1, COMMAND, image=image)
    wait_until(lambda: "preparing the image" in message(cluster), 30, lambda: message(cluster))
    wait_until(lambda: fetching(silent_registry), 30, lambda: message(cluster))
    assert f"preparing the image {image}" in maestro("job", "explain", "0/0").out
    other = cluster.task(3, COMMAND, name="other", data="user.ana.data")
    cluster.wait_for(other, TaskState.DONE, timeout=30)
    assert nodes.get(cluster.conn, "gauss").online
    apply(cluster.conn, task.id, TaskInput.KILL, by="ana")
    cluster.wait_for(task, TaskState.KILLED, timeout=30)
    wait_until(lambda: not fetching(silent_registry), 5, cluster.log)
    wait_until(lambda: "preparing" not in message(cluster), 60, lambda: message(cluster))


def fetching(address: str) -> list[str]:
    """The processes on this machine that fetch an image of a registry."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().decode(errors="replace").split("\0")
            if "pull" in words and any(address in word for word in words):
                found.append(" ".join(words))
    return found


@pytest.mark.parametrize("engine", ["apptainer", "podman", "docker"], indirect=True)
def test_silent_registry_breaks_the_test(
    cluster: Cluster, engine: Engine, silent_registry: str, tmp_path: Path
) -> None:
    cluster.node(cpu=2)
    flags = ("--image-silence=1.5", "--image-pauses=0.1")
    pilot(cluster, engine, *flags, env=without_tls(tmp_path, silent_registry))
    image = f"docker://{silent_registry}/ana/x"
    task = cluster.task(5, COMMAND, image=image, test_jobs=1, retries=5)
    cluster.wait_for(task, TaskState.BROKEN, timeout=60)
    (reason,) = [row[5] for row in cluster.attempts(task) if row[2] == "no_container"]
    assert f"the image {image} cannot be fetched: nothing arrived from {silent_registry}" in reason
    assert "image_fetch_timeout" in reason
    assert not fetching(silent_registry)


def test_an_archive_is_an_image(
    cluster: Cluster, engine: Engine, podman: Engine, tmp_path: Path
) -> None:
    archive = tmp_path / "bb.tar"
    podman("save", "--quiet", "--format=docker-archive", "--output", archive, IMAGE)
    cluster.node()
    pilot(cluster, engine)
    task = cluster.task(2, f"{COMMAND}; exit 0", image=f"docker-archive:{archive}")
    cluster.wait_for(task, TaskState.DONE, timeout=90)
    (digest,) = digests(cluster, task)
    assert digest.startswith("sha256:")


def test_image_without_a_shell_is_reported_before_a_job_starts(
    cluster: Cluster, apptainer: Engine, tmp_path: Path
) -> None:
    (tmp_path / "root/bin").mkdir(parents=True)
    cluster.node()
    pilot(cluster, apptainer)
    task = cluster.task(3, COMMAND, image=str(tmp_path / "root"), test_jobs=1)
    cluster.wait_for(task, TaskState.BROKEN, timeout=60)
    ((*_, reason),) = [row for row in cluster.attempts(task) if row[2] == "no_container"]
    assert "cannot run the image" in reason
    assert "/bin/sh" in reason


def test_job_run_here_uses_its_image(
    maestro: Maestro, cluster: Cluster, engine: Engine, busybox_sandbox: Path
) -> None:
    maestro.env |= {**engine.env, "MAESTRO_CONTAINER_RUNTIME": engine.program}
    command = "cp %IN copy; test -e %DATA; ! test -e /usr/lib; echo $0 $WHAT; pwd; exit 7"
    cluster.task(
        3, f"test -d %OUT; {command}", image=str(busybox_sandbox), env={"WHAT": "it's $(x)"}
    )
    said = maestro.line("job run --here user.ana.work/2", status=7)
    folder = maestro.folder / "orchestra-run_0_2_1"
    assert said.out == f"/bin/sh it's $(x)\n{folder}\n"
    assert (folder / "copy").read_text() == "2\n"
    maestro.env["MAESTRO_CONTAINER_RUNTIME"] = "none"
    refused = maestro.refused("job", "run", "--here", "0/2")
    assert "no container runtime for the image" in refused
