"""The disk of the database is full for a while: a real PostgreSQL on a small file system."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.store.postgres import embedded
from support import mounts
from support.maestro import Maestro
from support.server import free_port
from support.waiting import wait_until


class SmallServer:
    """A PostgreSQL whose disk can be filled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def start(self) -> str:
        settings = {"listen_addresses": "127.0.0.1", "port": str(self.port), "fsync": "off"}
        address = embedded.ensure_running(self.folder / "data", settings=settings)
        password = address.partition("//orchestra:")[2].partition("@")[0]
        return f"postgresql://orchestra:{password}@127.0.0.1:{self.port}/orchestra"

    def fill(self) -> None:
        room = os.statvfs(self.folder)
        with (self.folder / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_frsize)

    def free(self) -> None:
        (self.folder / "filler").unlink()

    def stop(self) -> None:
        embedded.stop(self.folder / "data", mode="immediate")


@pytest.fixture
def server() -> Iterator[SmallServer]:
    # Not below pytest's folder, through which the server's account cannot pass.
    folder = Path(tempfile.mkdtemp(prefix="orchestra-tests-", dir="/tmp"))
    with mounts.small(folder, "size=150m,mode=711"):
        server = SmallServer(folder)
        yield server
        server.stop()
    folder.rmdir()


@pytest.fixture
def lab(tmp_path: Path, server: SmallServer) -> Iterator[Maestro]:
    home = tmp_path / "home"
    home.mkdir()
    maestro = Maestro(home, tmp_path)
    maestro.configure(postgres=server.start())
    maestro.line("user init")
    yield maestro
    maestro("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)
    maestro.end()


def test_jobs_run_on_and_nothing_is_lost_or_half_written(lab: Maestro, server: SmallServer) -> None:
    configs = lab.folder / "configs"
    configs.mkdir()
    for n in range(40):
        (configs / f"{n}.json").write_text("{}")
    lab.line("dataset create -n user.ana.configs -p configs")
    lab.line("node create -n gauss -ec 2 -eg 0")
    truth, gate = lab.folder / "truth", lab.folder / "gate"
    job = f"echo b $ORCHESTRA_JOB >>{truth}; until test -e {gate}; do sleep 0.05; done; : %IN %DATA %OUT"
    words = ("-c", "user.ana.configs", "-d", "user.ana.configs", "-v", lab.folder, "--exec", job)
    lab("task", "create", "-t", "user.ana.t", "--test-jobs", "0", *words)
    pilot = lab.start("pilot", "run", "-n", "gauss")
    wait_until(lambda: truth.exists() and len(truth.read_text().split("\n")) == 3, timeout=30)

    server.fill()
    many = lab.folder / "many"
    many.mkdir()
    for n in range(4000):
        (many / f"a-rather-long-name-so-that-there-is-something-to-write-{n}.json").touch()
    assert "no space left on its disk" in lab.refused(
        "dataset", "create", "-n", "user.ana.many", "-p", "many"
    )
    gate.touch()  # the jobs end while nothing can be written down
    assert pilot.poll() is None

    server.free()
    server.start()
    assert lab("task", "wait", "user.ana.t", "--timeout", "90", timeout=120).status == 0
    begun = truth.read_text().split()[1::2]
    assert sorted(map(int, begun)) == list(range(40))
    assert "user.ana.many" not in lab.line("dataset list").out
    lab.line("dataset create -n user.ana.many -p many")
    assert pilot.poll() is None
