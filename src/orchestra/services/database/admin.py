"""The database as a whole: create and upgrade its schema, dump and restore it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import Refused
from orchestra.domain.wording import Action, words
from orchestra.services.database import recovery
from orchestra.store.cluster import cluster, health
from orchestra.store.postgres import dump as files
from orchestra.store.schema import migrate


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """The schema's version before and after; equal if there was nothing to do."""

    before: int
    after: int


def prepare(conn: psycopg.Connection) -> SchemaChange:
    """Create the schema, or upgrade it to this program's version, without loss.

    Raises:
        SchemaMismatch: the schema is newer than this program, or not Orchestra's.
        DatabaseUnavailable: this user may not create a schema here.
    """
    before = migrate.current(conn)
    applied = migrate.migrate(conn)
    recovery.identify(conn, who="orchestra")
    return SchemaChange(before, applied[-1].number if applied else before)


def dump(url: str, path: Path) -> int:
    """Write the database to a new file and return its size in bytes."""
    return files.dump(url, path)


def dump_and_check(url: str, path: Path, say: Callable[[str], None]) -> int:
    """Write the database to a new file, read the file back and compare; return its size in bytes.

    Raises:
        DumpDiffers: what was read back differs from the database.
    """
    from orchestra.store.postgres import dump_check

    return dump_check.dump_and_check(url, path, say)


def restore(conn: psycopg.Connection, url: str, path: Path) -> SchemaChange:
    """Replace the database's contents by a dump, and upgrade it to this program's schema.

    Raises:
        Refused: pilots are online.
        BadInput: the file is not a dump.
    """
    files.check_is_dump(path)
    if migrate.current(conn):
        _refuse_online_pilots(conn)
    files.restore(url, path)
    change = prepare(conn)
    recovery.begin(conn, "it was restored from a dump", who="orchestra")
    return change


def _refuse_online_pilots(conn: psycopg.Connection) -> None:
    nodes = health.online_nodes(conn)
    if nodes:
        raise Refused(
            f"pilots are online on {human.listed(nodes, most=3)}.",
            hint=words(
                Action.STOP_ALL, ", or ", Action.STOP_PILOT, ", before the database is replaced."
            ),
        )


def cluster_id(conn: psycopg.Connection) -> str:
    """Return the cluster's id, which survives dump and restore."""
    return str(cluster.read(conn).identity.cluster)
