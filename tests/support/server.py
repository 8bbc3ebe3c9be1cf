"""The PostgreSQL servers of a whole run of tests, one of each kind, shared by all of pytest's workers.

The first test that needs one starts it. They are stopped at the end of the run or, if it is killed, by a watcher
process.
"""

from __future__ import annotations

import atexit
import fcntl
import functools
import hashlib
import hmac
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

import psycopg
import pytest
from psycopg import sql

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.store.driver.database import connect
from orchestra.store.postgres import embedded
from orchestra.store.schema.migrate import migrate
from support import debian15

KINDS = ("embedded", "debian15")
"""The embedded one, and one that is typical of labs: the newest and the oldest supported PostgreSQL."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",  # of up to 64 workers
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
}

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30
"""Bytes that must be free there: the servers need some hundred megabytes."""

_WATCHER = """
import os, sys, time
from pathlib import Path
from support.server import remove
run, pid, start = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def lives():
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19] == start
    except OSError:
        return False
while run.exists() and lives():
    time.sleep(0.5)
remove(run)
"""


@dataclass(frozen=True, slots=True)
class Server:
    """The addresses of the server's database `postgres`: over its socket, and over TCP with a password."""

    socket_url: str
    tcp_url: str
    template: str = "orchestra_template"

    @contextmanager
    def clone(self, name: str) -> Iterator[str]:
        """Yield the address of a new database with the schema. It is dropped afterwards, even if it is in use."""
        identifier = sql.Identifier(name)
        _administer(
            self.socket_url,
            # Copying the files takes a third of the time of logging them.
            sql.SQL("create database {} template {} strategy file_copy").format(
                identifier, sql.Identifier(self.template)
            ),
        )
        url = self.socket_url.replace("/postgres?", f"/{name}?")
        with connect(url) as conn:
            # A copy is another cluster: pilots name their folders on this machine after its id.
            conn.execute("update cluster set id = gen_random_uuid()")
        try:
            yield url
        finally:
            _administer(
                self.socket_url, sql.SQL("drop database {} with (force)").format(identifier)
            )

    def over_tcp(self, url: str) -> str:
        """Return the address of the same database over TCP."""
        name = url.partition("/?")[0].rpartition("@/")[2].partition("?")[0]
        return self.tcp_url.replace("/postgres", f"/{name}")

    def reached_at(self, url: str, host: str) -> tuple[str, str]:
        """Return the path of the server's socket, and a database's address if it were at port 5432 of a host."""
        where = parse_qs(urlsplit(self.socket_url).query)
        port = where.get("port", ["5432"])[0]
        address = urlsplit(self.over_tcp(url))
        path = f"{where['host'][0]}/.s.PGSQL.{port}"
        return path, address._replace(
            netloc=f"{address.netloc.rpartition('@')[0]}@{host}:5432"
        ).geturl()


_ADMINISTERING = threading.Lock()


def _administer(url: str, statement: sql.Composed) -> None:
    """Execute a statement on the connection of this process to a server's database `postgres`."""
    with _ADMINISTERING:
        _administrator(url).execute(statement)


@functools.cache
def _administrator(url: str) -> psycopg.Connection:
    conn = connect(url, name="tests", statement_timeout=60, lock_timeout=60)
    atexit.register(conn.close)
    return conn


def new_run() -> Path:
    """Create the folder of a run; the first test that needs a server puts its data there."""
    # Not pytest's own folder: that is private to root, and root's server runs as another account.
    folder = Path(tempfile.mkdtemp(prefix="orchestra-tests-", dir="/tmp"))
    folder.chmod(0o711)
    (_MEMORY / folder.name if _has_room() else folder / "databases").mkdir(mode=0o711)
    return folder


def _has_room() -> bool:
    return os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM


def _databases(run: Path) -> Path:
    """The folder of the run's servers: in memory if there is room, because a copy of a database is 350 files."""
    in_memory = _MEMORY / run.name
    return in_memory if in_memory.exists() else run / "databases"


def kinds_for(metafunc: pytest.Metafunc) -> list[object]:
    """Return the kinds of server that a test runs on, as parameters.

    They are those of its mark `servers`; without one, both for tests of the store, and the embedded one for others.
    The option --server chooses one for every test whose mark does not exclude it.
    """
    mark = metafunc.definition.get_closest_marker("servers")
    chosen = metafunc.config.getoption("--server")
    usual = KINDS if metafunc.definition.path.parent.name == "store" else KINDS[:1]
    kinds = mark.args if mark else (chosen,) if chosen else usual
    if chosen and chosen not in kinds:
        skip = pytest.mark.skip(reason=f"this is about {kinds[0]} alone")
        return [pytest.param(chosen, marks=skip)]
    return [
        pytest.param(kind, marks=pytest.mark.needs("postgresql 15") if kind == "debian15" else ())
        for kind in ([chosen] if chosen else kinds)
    ]


def the_server(run: Path, kind: str) -> Server:
    """Return a server of a run; start it and create the template database if no test has yet."""
    note = run / f"{kind}.json"
    with (run / f"{kind}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not note.exists():
            _watch(run)
            server = _start(run, kind)
            note.write_text(json.dumps([server.socket_url, server.tcp_url]))
    return Server(*json.loads(note.read_text()))


def remove(run: Path) -> None:
    """Stop the servers of a run, end its remaining containers and remove its folder."""
    databases = _databases(run)
    if (databases / "data").exists():
        embedded.stop(databases / "data", mode="immediate")
    debian15.stop(databases / "debian15")
    if (run / "images").exists():
        from support import containers

        containers.remove(run)
    for folder in (databases, run):
        shutil.rmtree(folder, ignore_errors=True)


def _start(run: Path, kind: str) -> Server:
    server = _start_debian15(run) if kind == "debian15" else _start_embedded(run)
    url = server.socket_url
    _administer(url, sql.SQL("alter role orchestra password {}").format(_verifier(url)))
    _administer(url, sql.SQL("create database {}").format(sql.Identifier(server.template)))
    with connect(url.replace("/postgres?", f"/{server.template}?")) as conn:
        migrate(conn)
    return server


def _verifier(url: str) -> str:
    """Return what a server stores of the password of an address, by RFC 5803, with one iteration instead of 4,096.

    They take half of the time of a connection.
    """
    password, salt = unquote(urlsplit(url).password or "").encode(), secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password, salt, 1)
    client, server = (hmac.digest(salted, key, "sha256") for key in (b"Client Key", b"Server Key"))
    words = (b64encode(each).decode() for each in (salt, hashlib.sha256(client).digest(), server))
    return "SCRAM-SHA-256$1:{}${}:{}".format(*words)


def _start_embedded(run: Path, tries: int = 3) -> Server:
    port = free_port()
    try:
        settings = {**_SETTINGS, "port": str(port)}
        url = embedded.ensure_running(_databases(run) / "data", settings=settings)
    except DatabaseUnavailable:
        if tries == 1:  # another process may take the port at that moment, but not every time
            raise
        return _start_embedded(run, tries - 1)
    password = url.partition("//orchestra:")[2].partition("@")[0]
    return Server(url.replace("/orchestra?", "/postgres?"), _over_tcp(password, port))


def _start_debian15(run: Path, tries: int = 3) -> Server:
    port, home = free_port(), _databases(run) / "debian15"
    try:
        password = debian15.start(home, port)
    except subprocess.CalledProcessError:
        if tries == 1:
            raise
        shutil.rmtree(home)
        return _start_debian15(run, tries - 1)
    url = (
        f"postgresql://orchestra:{password}@/postgres?host={quote(str(home), safe='')}&port={port}"
    )
    return Server(url, _over_tcp(password, port))


def _over_tcp(password: str, port: int) -> str:
    return f"postgresql://orchestra:{password}@127.0.0.1:{port}/postgres"


def _watch(run: Path) -> None:
    """Start a process that removes the servers when the run has ended, however it ended."""
    pid = int(os.environ["ORCHESTRA_TEST_RUN_PID"])
    start = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    # Through a shell that ends at once: the watcher is then no worker's child, so none waits for it or warns about it.
    subprocess.run(
        ["/bin/sh", "-c", '"$@" &', "sh", sys.executable, "-c", _WATCHER, run, str(pid), start],
        check=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def free_port() -> int:
    """A free TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
