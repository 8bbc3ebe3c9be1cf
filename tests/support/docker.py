"""A Docker service for tests, in a folder of the run and independent of any other on the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.containers import IMAGE, Engine, unmount_below
from support.needs import docker_folder
from support.waiting import wait_until

# Its plug-in "opt" would create a folder in /opt.
_CONTAINERD = """\
version = 2
root = "{0}/containerd/root"
state = "{0}/containerd/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
address = "{0}/containerd.sock"
[ttrpc]
address = "{0}/containerd.ttrpc.sock"
"""
# Does not change the machine's network, and works on any file system.
_DOCKERD = (
    "--iptables=false",
    "--ip6tables=false",
    "--bridge=none",
    "--storage-driver=vfs",
    "--group=root",
)


@contextmanager
def docker(archive: Path) -> Iterator[Engine]:
    """Run Docker with IMAGE, made from an archive of its files, during the block; it ends with this process."""
    programs = docker_folder()
    assert programs
    folder = Path(tempfile.mkdtemp(prefix="orc-docker-", dir="/tmp"))  # socket paths are limited
    folder.chmod(0o711)  # the socket in it is root's
    engine = Engine(f"{programs}/docker", {"DOCKER_HOST": f"unix://{folder}/docker.sock"})
    started: list[subprocess.Popen[bytes]] = []
    try:
        _start(folder, programs, started)
        wait_until(
            lambda: engine("version", status=None).returncode == 0,
            60,
            lambda: [path.read_text()[-2000:] for path in folder.glob("*.log")],
        )
        engine("import", archive, IMAGE)
        yield engine
    finally:
        _end(folder, engine, started)


def _start(folder: Path, programs: str, started: list[subprocess.Popen[bytes]]) -> None:
    (folder / "containerd.toml").write_text(_CONTAINERD.format(folder))
    sockets = (
        "--containerd",
        f"{folder}/containerd.sock",
        "--host",
        f"unix://{folder}/docker.sock",
    )
    own = (
        "--data-root",
        f"{folder}/data",
        "--exec-root",
        f"{folder}/exec",
        "--pidfile",
        f"{folder}/docker.pid",
    )
    for name, *words in (
        ("containerd", "--config", f"{folder}/containerd.toml"),
        ("dockerd", *sockets, *own, *_DOCKERD),
    ):
        with (folder / f"{name}.log").open("wb") as log:
            started.append(
                subprocess.Popen(
                    ["setpriv", "--pdeathsig", "TERM", f"{programs}/{name}", *words],
                    env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        if name == "containerd":
            wait_until((folder / "containerd.sock").exists, 60, (folder / f"{name}.log").read_text)


def _end(folder: Path, engine: Engine, started: list[subprocess.Popen[bytes]]) -> None:
    if len(started) == 2:
        left = engine("ps", "--all", "--quiet", status=None).stdout.split()
        if left:
            engine("rm", "--force", *left, status=None)
    for process in reversed(started):
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    unmount_below(folder)  # Docker leaves a network namespace there
    shutil.rmtree(folder, ignore_errors=True)
