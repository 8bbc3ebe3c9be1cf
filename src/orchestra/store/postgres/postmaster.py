"""Inspecting an embedded database: its data folder, its locks, and whether its server answers."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg import pq

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.store.driver.database import connect

NAME = "orchestra"  # the name of the database and of its only user

# Set by the address or by `connect`. A service cannot be unset, but its settings can be overridden.
_OURS = {
    *(b"service", b"servicefile", b"user", b"password", b"dbname", b"host", b"port"),
    *(b"options", b"application_name", b"client_encoding", b"connect_timeout"),
}
# Options that have no default value in libpq and cannot be set to an empty one.
_USUAL = {
    b"require_auth": b"scram-sha-256",
    b"sslcertmode": b"allow",
    b"min_protocol_version": b"3.0",
    b"max_protocol_version": b"3.0",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A data folder; `server` is the part of it that belongs to the server's account, perhaps a symlink."""

    data: Path

    @property
    def link(self) -> Path:
        return self.data / "server"

    @property
    def server(self) -> Path:
        # If it is a symlink, the server's account cannot pass through the data folder.
        return self.link.readlink() if self.link.is_symlink() else self.link

    @property
    def cluster(self) -> Path:
        """The files that initdb created, in a folder named after its major version. It may not exist."""
        made = [int(path.parent.name[2:]) for path in self.server.glob("pg[1-9][0-9]/PG_VERSION")]
        return self.cluster_of(max(made, default=0))

    def cluster_of(self, major: int) -> Path:
        """The folder for the files of that major version of PostgreSQL. It may not exist."""
        return self.server / f"pg{major}"

    @property
    def major(self) -> int | None:
        """The major version of PostgreSQL that created the database, or None."""
        try:
            return int((self.cluster / "PG_VERSION").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    @property
    def log(self) -> Path:
        return self.server / "postgres.log"

    @property
    def password(self) -> Path:
        return self.data / "password"

    @property
    def exists(self) -> bool:
        return (self.cluster / "PG_VERSION").exists()


def answering(place: Place) -> str | None:
    """The address if the server answers with our password, or None. A process id alone does not prove it."""
    address = url(place)
    if address is None:
        return None
    try:
        connect(address, name="maestro: is it there", connect_timeout=5).close()
    except DatabaseUnavailable:
        return None
    return address


def url(place: Place, database: str = NAME) -> str | None:
    """The address of a server that reports that it is ready, or None."""
    facts = postmaster(place)
    if len(facts) < 8 or facts[7].strip() != "ready":
        return None
    try:
        password = place.password.read_text(encoding="ascii").strip()
    except OSError:
        return None
    query = {"host": facts[4], "port": facts[3], **_libpq_defaults()}
    return f"postgresql://{NAME}:{password}@/{database}?{urlencode(query, quote_via=quote)}"


def _libpq_defaults() -> dict[str, str]:
    """Return libpq's defaults for what variables such as PGSSLMODE set: those are meant for another database."""
    service = "PGSERVICE" in os.environ  # a service file may set anything
    return {
        option.keyword.decode(): (option.compiled or _USUAL.get(option.keyword, b"")).decode()
        for option in pq.Conninfo.get_defaults()
        if option.envvar
        and option.keyword not in _OURS
        and (service or option.envvar.decode() in os.environ)
    }


def postmaster(place: Place) -> list[str]:
    """Read postmaster.pid: pid, data folder, start time, port, socket folder, address, shared memory, condition."""
    try:
        return (place.cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def is_alive(place: Place) -> bool:
    """Whether a process of the server is alive, answering or not."""
    with folder_lock(place) as (_, free):
        return not free


@contextmanager
def folder_lock(place: Place) -> Iterator[tuple[int, bool]]:
    """Yield a descriptor of the data folder, and whether its lock, which a server holds, was acquired with it."""
    descriptor = os.open(place.data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        yield descriptor, free
    finally:
        os.close(descriptor)


@contextmanager
def one_at_a_time(place: Place) -> Iterator[None]:
    """Wait for other commands that start or stop this server, and exclude them."""
    descriptor = os.open(place.data / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
