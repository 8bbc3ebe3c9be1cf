"""The database as a whole: make and upgrade its schema, dump it, bring a dump back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import Refused
from orchestra.domain.wording import Action, words
from orchestra.services.database import recovery
from orchestra.store.driver.sql import load
from orchestra.store.postgres import dump as files
from orchestra.store.schema import migrate

SQL = load("cluster/cluster")


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """What `prepare` did: from which version to which; the same where nothing was to be done."""

    before: int
    after: int


def is_private(conn: psycopg.Connection) -> bool:
    """Whether nobody but the account of this database's folder can use it: no address, and one login."""
    row = conn.execute(SQL.is_private).fetchone()
    return bool(row and row[0])


def prepare(conn: psycopg.Connection) -> SchemaChange:
    """Make the schema, or bring it to what this program needs; loses nothing.

    Raises:
        SchemaMismatch: it is newer than this program, or not ours.
        DatabaseUnavailable: this user may not make a schema here.
    """
    before = migrate.current(conn)
    applied = migrate.migrate(conn)
    recovery.look(conn, who="orchestra")
    return SchemaChange(before, applied[-1].number if applied else before)


def dump(url: str, path: Path) -> int:
    """Write the database to a new file and give its size in bytes."""
    return files.dump(url, path)


def dump_and_check(url: str, path: Path, say: Callable[[str], None]) -> int:
    """Write the database to a new file, read that back and compare; gives its size in bytes.

    Raises:
        DumpDiffers: what came back is not what was dumped.
    """
    from orchestra.store.postgres import dump_check

    return dump_check.dump_and_check(url, path, say)


def restore(conn: psycopg.Connection, url: str, path: Path) -> SchemaChange:
    """Put a dump in the place of what the database holds, and upgrade it to this program's schema.

    Raises:
        Refused: pilots are at work on what the database holds now.
        BadInput: the file is no dump.
    """
    files.check_is_dump(path)
    if migrate.current(conn):
        _nobody_works(conn)
    files.restore(url, path)
    change = prepare(conn)
    recovery.begin(conn, "it was restored from a dump", who="orchestra")
    return change


def _nobody_works(conn: psycopg.Connection) -> None:
    nodes = online_nodes(conn)
    if nodes:
        raise Refused(
            f"pilots are online on {human.listed(nodes, most=3)}.",
            hint=words(
                Action.STOP_ALL, ", or ", Action.STOP_PILOT, ", before the database is replaced."
            ),
        )


def online_nodes(conn: psycopg.Connection) -> list[str]:
    """Give the nodes whose pilots are online, by name."""
    return [row[0] for row in conn.execute(SQL.online_nodes)]


def other_connections(conn: psycopg.Connection) -> int:
    """Give how many others are connected to this database."""
    row = conn.execute(SQL.others).fetchone()
    assert row is not None
    return int(row[0])


def cluster_id(conn: psycopg.Connection) -> str:
    """Give the cluster's id, which a dump and a restore keep."""
    row = conn.execute(SQL.identity).fetchone()
    assert row is not None
    return str(row[0])


def server_version(conn: psycopg.Connection) -> str:
    """Give PostgreSQL's version, such as "18.4"."""
    row = conn.execute(SQL.version).fetchone()
    assert row is not None
    return str(row[0]).split()[0]
