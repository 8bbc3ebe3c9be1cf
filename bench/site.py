"""A small site for a benchmark: a home, a volume, and Orchestra's own PostgreSQL with its usual settings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orchestra.domain.caller import Caller
from orchestra.services.users import users
from orchestra.store.driver.database import connect
from orchestra.store.postgres import embedded
from orchestra.store.schema.migrate import migrate

PROGRAM = (sys.executable, "-m", "orchestra.cli.main")


class Failed(Exception):
    """A command failed that the benchmark needs."""


@dataclass(frozen=True, slots=True)
class Site:
    """A user ana with a home, a volume and a database, all in `folder`."""

    folder: Path
    url: str
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def volume(self) -> Path:
        return self.folder / "volume"

    @property
    def postmaster(self) -> int:
        """The pid of PostgreSQL's first process."""
        own = self.folder / "server" / "data" / "postmaster.pid"  # of `debian_site`
        if own.exists():
            return int(own.read_text().partition("\n")[0])
        return embedded.status(self.folder / "data").pid or 0

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its commands: only PATH is inherited, and its `variables` are added."""
        mine = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "USER": "ana"}
        mine |= self.variables
        # Its pilots run only its own jobs.
        return {**mine, "MAESTRO_ALLOW_ROOT": "1"} if os.geteuid() == 0 else mine

    def connect(self, **options: Any) -> psycopg.Connection:
        """Open a connection without the usual time limits."""
        limits = {"statement_timeout": 0, "lock_timeout": 0, "idle_in_transaction_timeout": 0}
        return connect(self.url, name="bench", **{**limits, **options})

    def maestro(self, *words: object, timeout: float = 600) -> str:
        """Run a command to its end, and return its output.

        Raises:
            Failed: its exit status was not 0.
        """
        done = subprocess.run(
            [*PROGRAM, *map(str, words)],
            env=self.environment,
            cwd=self.volume,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode:
            raise Failed(f"maestro {' '.join(map(str, words))}: {done.stderr.strip()}")
        return done.stdout

    @contextmanager
    def pilot(self, node: str = "bench", slots: int = 2, *flags: str) -> Iterator[int]:
        """Start a pilot that is also the conductor, and return its pid when it is online."""
        if node not in self.maestro("node", "list", "-o", "json"):
            enabled = ("-ec", slots, "-mc", slots, "-eg", 0, "-mg", 0)
            self.maestro("node", "create", "-n", node, *enabled)
        log = (self.folder / f"pilot-{node}.log").open("ab")
        process = subprocess.Popen(
            [*PROGRAM, "pilot", "run", "-n", node, "-m", *flags],
            env=self.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            self._wait_for_pilot(node, process)
            yield process.pid
        finally:
            log.close()
            _end(process)

    def _wait_for_pilot(self, node: str, process: subprocess.Popen[bytes]) -> None:
        with self.connect() as conn:
            for _ in range(600):
                row = conn.execute(
                    "select count(*) from pilot p join node n on n.id = p.node_id join keeper k on k.node_id = n.id "
                    "where n.name = %s and p.pid = %s and k.gone_at is null and k.fenced_at is null",
                    [node, process.pid],
                ).fetchone()
                conducts = conn.execute("select expires > now() from leader").fetchone()
                if row and row[0] and conducts and conducts[0]:
                    return
                if process.poll() is not None:
                    break
                time.sleep(0.1)
        said = (self.folder / f"pilot-{node}.log").read_text(errors="replace")[-2000:]
        raise Failed(f"the pilot of {node} did not come online:\n{said}")

    def keeper(self, agent: int) -> int:
        """Return the pid of a pilot's keeper."""
        with self.connect() as conn:
            row = conn.execute(
                "select k.pid from keeper k join pilot p using (node_id) "
                "where p.pid = %s and k.gone_at is null order by k.started_at desc limit 1",
                [agent],
            ).fetchone()
        assert row
        return int(row[0])

    def files(self, name: str, count: int) -> str:
        """Register a data set of small files, and return its name."""
        root = self.folder / name
        root.mkdir()
        for n in range(count):
            (root / f"config.{n}.json").write_text(f'{{"n": {n}}}\n')
        self.maestro("dataset", "create", "-n", f"user.ana.{name}", "-p", root)
        return f"user.ana.{name}"


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_NONE: Mapping[str, str] = {}


DEBIAN = Path("/usr/lib/postgresql/15/bin")
"""Debian's PostgreSQL, made there by tools/install-postgresql."""


def caller(conn: psycopg.Connection, name: str = "ana") -> Caller:
    """Return a user with the rights that they have; create them if they do not exist."""
    return Caller.of(users.ensure(conn, name, f"{name}@example.org")[0])


@contextmanager
def debian_site(below: Path | None = None) -> Iterator[Site]:
    """Make a site whose database is Debian's PostgreSQL with its default settings, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="orchestra-bench-", dir=below))
    folder.chmod(0o711)
    home = folder / "server"
    home.mkdir()
    root = os.geteuid() == 0
    if root:
        shutil.chown(home, "postgres", "postgres")
    account: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []}

    def run(program: str, *words: str | Path) -> None:
        subprocess.run(
            [DEBIAN / program, *words],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            **(account if root else {}),
        )

    try:
        run("initdb", "-D", home / "data", "-U", "ana", "--auth=trust", "--encoding=UTF8")
        options = f"-c listen_addresses= -c unix_socket_directories={home}"
        log = home / "postgres.log"
        run("pg_ctl", "start", "-w", "-D", home / "data", "-l", log, "-o", options)
        url = f"postgresql://ana@/postgres?host={home}"
        _settle(folder, url, {"postgres": url, "allow_root": True})
        yield Site(folder, url)
    finally:
        if (home / "data" / "postmaster.pid").exists():
            run("pg_ctl", "stop", "-D", home / "data", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


def _settle(folder: Path, url: str, database: Mapping[str, object]) -> None:
    """Make a site's schema, its home with a configuration that names the database, and its volume."""
    for name in ("home", "volume"):
        (folder / name).mkdir()
    configuration = folder / "home" / ".orchestra.json"
    own = {"state_dir": str(folder / "state"), "volume": str(folder / "volume"), **database}
    configuration.write_text(json.dumps({"username": "ana", "email": "ana@example.org", **own}))
    configuration.chmod(0o600)
    with connect(url, name="bench") as conn:
        migrate(conn)


@contextmanager
def site(
    below: Path | None = None,
    settings: Mapping[str, str] = _NONE,
    variables: Mapping[str, str] = _NONE,
) -> Iterator[Site]:
    """Make a site, and remove it afterwards.

    Args:
        below: where its folder is made; on a local disk.
        settings: of PostgreSQL, beyond those that Orchestra's own database has.
        variables: of the environment of its commands. With any, they connect to the database as to one of a lab, since
            they may run elsewhere than on its machine.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left behind
    folder = Path(tempfile.mkdtemp(prefix="orchestra-bench-", dir=below))
    folder.chmod(0o711)  # root's PostgreSQL runs as another account
    data = folder / "data"
    try:
        url = embedded.ensure_running(data, settings=settings)
        _settle(folder, url, {"postgres": url} if variables else {"data_dir": str(data)})
        yield Site(folder, url, variables)
    finally:
        if data.exists():
            embedded.stop(data, mode="immediate")
        shutil.rmtree(folder, ignore_errors=True)
