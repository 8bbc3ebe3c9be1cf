"""A standby that is behind is promoted while jobs run: PostgreSQL's own replication, two real servers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestra.store.postgres import embedded, postmaster, program_search, programs
from support.maestro import Maestro
from support.server import free_port
from support.waiting import wait_until

_SETTINGS = {"listen_addresses": "127.0.0.1", "fsync": "off", "max_connections": "40"}


class Pair:
    """A primary and the standby that was made from it, each with a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"first": free_port(), "second": free_port()}
        self.programs = programs.for_server(program_search.find(), print)
        self._start("first")
        self.password = postmaster.Place(folder / "first").password.read_text().strip()

    def place(self, name: str) -> postmaster.Place:
        return postmaster.Place(self.folder / name)

    def _start(self, name: str) -> None:
        settings = {**_SETTINGS, "port": str(self.ports[name])}
        embedded.ensure_running(self.folder / name, settings=settings)

    def url(self, *names: str) -> str:
        hosts = ",".join(f"127.0.0.1:{self.ports[name]}" for name in names)
        address = f"postgresql://orchestra:{self.password}@{hosts}/orchestra"
        return address + ("?target_session_attrs=read-write" if len(names) > 1 else "")

    def copy(self) -> None:
        """Make the second server from the first one, which it will follow."""
        second = self.folder / "second"
        embedded.ensure_running(second)  # so that its folders are there
        embedded.stop(second)
        cluster = self.place("second").cluster
        shutil.rmtree(cluster)
        shutil.copy2(self.place("first").password, self.place("second").password)
        source = self.url("first").removesuffix("/orchestra")
        done = self.programs.run(
            "pg_basebackup", ["-d", source, "-D", cluster, "-R", "-X", "stream", "-c", "fast"]
        )
        assert done.returncode == 0, done.stderr

    def follow(self) -> None:
        """Start the standby, wait until it has all that the primary has, and stop it."""
        options = f"-c port={self.ports['second']} -c unix_socket_directories=''"
        cluster = self.place("second").cluster
        self._pg_ctl("start", "-D", cluster, "-o", options, "-l", self.place("second").log)
        with psycopg.connect(self.url("first"), autocommit=True) as conn:
            wait_until(
                lambda: (
                    conn.execute(
                        "select replay_lsn >= pg_current_wal_lsn() from pg_stat_replication"
                    ).fetchone()
                    == (True,)
                )
            )
        self._pg_ctl("stop", "-D", cluster, "-m", "fast")

    def fail_over(self) -> None:
        """Kill the primary, and make a primary of the standby."""
        embedded.stop(self.folder / "first", mode="immediate")
        cluster = self.place("second").cluster
        options = f"-c port={self.ports['second']} -c unix_socket_directories=''"
        self._pg_ctl("start", "-D", cluster, "-o", options, "-l", self.place("second").log)
        self._pg_ctl("promote", "-D", cluster)

    def _pg_ctl(self, *words: str | Path) -> None:
        done = self.programs.run("pg_ctl", [*words, "-w", "-t", "60"])
        assert done.returncode == 0, (done.stdout, done.stderr)

    def end(self) -> None:
        for name in self.ports:
            embedded.stop(self.folder / name, mode="immediate")


@pytest.fixture
def pair() -> Iterator[Pair]:
    # Not below pytest's folder, through which the server's account cannot pass.
    folder = Path(tempfile.mkdtemp(prefix="orchestra-tests-", dir="/tmp"))
    folder.chmod(0o711)
    pair = Pair(folder)
    yield pair
    pair.end()
    shutil.rmtree(folder)


@pytest.fixture
def lab(tmp_path: Path, pair: Pair) -> Iterator[Maestro]:
    home = tmp_path / "home"
    home.mkdir()
    maestro = Maestro(home, tmp_path)
    maestro.configure(postgres=pair.url("first", "second"))
    maestro.line("user init")
    yield maestro
    maestro("pilot", "stop", "-n", "gauss", "--now", "--yes", status=None)
    maestro.end()


@pytest.mark.slow
def test_what_the_standby_never_heard_of_is_neither_lost_nor_run_beside_itself(
    lab: Maestro, pair: Pair
) -> None:
    for n in range(6):
        (lab.folder / "configs").mkdir(exist_ok=True)
        (lab.folder / "configs" / f"{n}.json").write_text("{}")
    lab.line("dataset create -n user.ana.configs -p configs")
    lab.line("dataset create -n user.ana.data -p configs")
    lab.line("node create -n gauss -ec 2 -eg 0")
    truth, gate = lab.folder / "truth", lab.folder / "gate"
    # The first two are over at once, all others end when the gate is open; each writes down that it began and ended.
    job = (
        f"echo b $ORCHESTRA_JOB >>{truth}; "
        f"test $ORCHESTRA_JOB -le 1 || until test -e {gate}; do sleep 0.05; done; "
        f"echo e $ORCHESTRA_JOB >>{truth}; : %IN %DATA %OUT"
    )
    lab(
        "task", "create", "-t", "user.ana.t", "-c", "user.ana.configs", "-d", "user.ana.data",
        "-v", lab.folder, "--test-jobs", "0", "--exec", job,
    )  # fmt: skip
    pair.copy()
    pair.follow()  # it knows the task, and nothing of what comes now
    lab.start("pilot", "run", "-n", "gauss")
    wait_until(
        lambda: (
            lab.line("task show user.ana.t -o json").json["counts"]["done"] == 2
            and truth.read_text().count("b ") == 4
        ),
        timeout=60,
    )

    epoch = lab.line("db status -o json").json["epoch"]
    pair.fail_over()
    wait_until(lambda: _settled_since(lab, epoch), timeout=60)
    assert truth.read_text().count("b ") >= 4
    gate.touch()
    assert lab("task", "wait", "user.ana.t", "--timeout", "60", timeout=90).status == 0

    lines = truth.read_text().split("\n")
    begun = {n: lines.count(f"b {n}") for n in range(6)}
    # Outcomes that only the old primary had are gone; what ran meanwhile was adopted, not started again.
    assert begun == {0: 2, 1: 2, 2: 1, 3: 1, 4: 1, 5: 1}
    assert {n: lines.count(f"e {n}") for n in begun} == begun


def _settled_since(lab: Maestro, epoch: int) -> bool:
    """Whether a replacement of the database was recognised, and all pilots have said what they run."""
    said = lab("db", "status", "-o", "json", status=None)
    return said.status == 0 and said.json["epoch"] > epoch and not said.json["settling"]
