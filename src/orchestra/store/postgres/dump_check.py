"""Checking a dump: it is restored into a scratch database and compared with what was dumped."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, urlencode

import psycopg
from psycopg import errors, sql

from orchestra.domain.errors import DatabaseUnavailable, OrchestraError
from orchestra.store.driver.database import SCHEMA, check_address, connect, read_one_snapshot
from orchestra.store.driver.sql import load
from orchestra.store.postgres import dump as dumps
from orchestra.store.postgres import embedded, initdb
from orchestra.store.postgres.postmaster import Place

Contents = dict[str, tuple[int, int]]
"""The number of rows of each table, and a checksum over all of their values."""

_SQL = load("postgres/dump")
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


class DumpDiffers(OrchestraError):
    """A restored dump does not contain what was dumped."""

    code = "dump_differs"


def dump_and_check(url: str, path: Path, say: Callable[[str], None]) -> int:
    """Write a dump, restore it, compare, and return its size in bytes. `say` is called with each step.

    The comparison is with the dumped snapshot, however much the database changes meanwhile. Only the dump is left
    behind, also if it is found to be faulty.

    Raises:
        DumpDiffers: the restored content differs from what was dumped.
        AlreadyExists, VolumeError, DatabaseUnavailable: as for `dump`; or there is no database to restore it into.
    """
    with _connect_without_limits(url) as conn, conn.transaction():
        snapshot = _snapshot(conn)
        size = dumps.dump(url, path, snapshot=snapshot)
        say("taking checksums of the database")
        wanted = contents(conn)
    say("restoring the dump")
    with scratch_database(url) as scratch:
        dumps.restore(scratch, path)
        with _connect_without_limits(scratch) as conn:
            found = contents(conn)
    if found != wanted:
        tables = sorted(name for name in wanted | found if wanted.get(name) != found.get(name))
        raise DumpDiffers(
            f"{path} was restored, and its table {tables[0]} differs from what was dumped.",
            hint="Do not rely on it. Take another one, and check the disk.",
        )
    return size


def contents(conn: psycopg.Connection) -> Contents:
    """Return the contents of the schema's tables."""
    names = [row[0] for row in conn.execute(_SQL.tables, {"schema": SCHEMA})]
    return {name: _content(conn, name) for name in names}


def _content(conn: psycopg.Connection, table: str) -> tuple[int, int]:
    statement = sql.SQL(_SQL.content).format(sql.Identifier(SCHEMA, table))
    row = conn.execute(statement).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _snapshot(conn: psycopg.Connection) -> str:
    read_one_snapshot(conn)
    row = conn.execute(_SQL.export_snapshot).fetchone()
    assert row is not None
    return str(row[0])


def _connect_without_limits(url: str) -> psycopg.Connection:
    return connect(url, name="maestro db dump", statement_timeout=0, idle_in_transaction_timeout=0)


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """Yield the address of an empty database, which is dropped at the end: on the same server or, if the user may not
    create one there, on a server of our own.

    Raises:
        DatabaseUnavailable: there is neither.
    """
    name = f"orchestra_check_{token_hex(4)}"
    with connect(url, name="maestro db dump", statement_timeout=0) as conn:
        if _make(conn, name):
            try:
                yield _address_of(url, name)
            finally:
                drop = sql.SQL("drop database {} with (force)").format(sql.Identifier(name))
                conn.execute(drop)
            return
    with _scratch_server() as scratch:
        yield scratch


def _make(conn: psycopg.Connection, name: str) -> bool:
    """Create a database; False if the user may not."""
    try:
        conn.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    except (DatabaseUnavailable, errors.Error):
        return False
    return True


def _address_of(url: str, database: str) -> str:
    """Return the address of another database on the same server."""
    parts = check_address(url)
    login = ":".join(quote(parts.pop(key, ""), safe="") for key in ("user", "password"))
    return f"postgresql://{login}@/{quote(database, safe='')}?" + urlencode(
        {key: value for key, value in parts.items() if key != "dbname"}
    )


@contextmanager
def _scratch_server() -> Iterator[str]:
    folder = Path(tempfile.mkdtemp(prefix="orchestra-check-", dir="/var/tmp"))
    place = Place(folder / "data")
    try:
        yield embedded.ensure_running(place.data, settings=_SETTINGS)
    finally:
        with suppress(OrchestraError):
            embedded.stop(place.data, mode="immediate")
        server = place.server
        shutil.rmtree(server, ignore_errors=True)
        initdb.forget(server)
        shutil.rmtree(folder, ignore_errors=True)
