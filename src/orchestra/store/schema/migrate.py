"""Migrations: numbered .sql files in migrations/, applied in order, each once, forward only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestra import __version__
from orchestra.domain.errors import DatabaseUnavailable, SchemaMismatch
from orchestra.domain.wording import Action, words
from orchestra.store.driver.database import set_statement_timeout
from orchestra.store.driver.sql import load

FOLDER = Path(__file__).parent / "migrations"

PATIENCE = 3600.0
"""Seconds for one statement of a migration."""

_SQL = load("schema/migrate")
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; `sha256` shows whether it has changed since it was applied."""

    number: int
    name: str
    sha256: str
    text: str = ""


def known(folder: Path = FOLDER) -> list[Migration]:
    """Return this program's migrations, by number.

    Raises:
        ValueError: the numbers are not 1, 2, 3, ...
    """
    migrations = [_read(path) for path in sorted(folder.glob("*.sql"))]
    if [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        raise ValueError(f"the migrations in {folder} are not numbered 0001, 0002, ...")
    return migrations


def migrate(conn: psycopg.Connection, *, folder: Path = FOLDER) -> list[Migration]:
    """Upgrade the schema to what this program needs, and return the applied migrations.

    Each migration is one transaction, and only one program migrates at a time.

    Raises:
        SchemaMismatch: the schema is newer than this program, was altered, or is not Orchestra's.
        DatabaseUnavailable: this user may not create a schema here.
    """
    applied: list[Migration] = []
    while migration := _apply_next(conn, known(folder)):
        applied.append(migration)
    return applied


def pending(conn: psycopg.Connection, *, folder: Path = FOLDER) -> list[Migration]:
    """Return what `migrate` would apply, with the same checks."""
    return _pending(known(folder), _ledger(conn), newer_allowed=0)


def is_current(conn: psycopg.Connection, *, folder: Path = FOLDER) -> bool:
    """Whether there is nothing to migrate. A single statement, because every command asks.

    Raises:
        SchemaMismatch: the schema is newer than this program, or was altered.
    """
    try:
        ledger = _applied(conn)
    except psycopg.errors.UndefinedTable:
        return False
    return bool(ledger) and not _pending(known(folder), ledger, newer_allowed=0)


def current(conn: psycopg.Connection) -> int:
    """Return the number of the last applied migration; 0 if there is no schema yet."""
    ledger = _ledger(conn)
    return ledger[-1].number if ledger else 0


def check(conn: psycopg.Connection, *, newer_allowed: int = 0, folder: Path = FOLDER) -> None:
    """Check that this program can work with the schema.

    `newer_allowed` is the number of versions that the schema may be ahead: a pilot one version behind goes on.

    Raises:
        SchemaMismatch: it cannot; the hint says what to do.
    """
    ledger = _ledger(conn)
    if not ledger:
        raise SchemaMismatch(
            "the database has no Orchestra schema yet.",
            hint=words(Action.MAKE_SCHEMA, " creates it."),
        )
    if waiting := _pending(known(folder), ledger, newer_allowed=newer_allowed):
        raise SchemaMismatch(
            f"the database has schema {ledger[-1].number}, this program needs {waiting[-1].number}.",
            hint=words(Action.MAKE_SCHEMA, " upgrades it and loses nothing."),
        )


def _read(path: Path) -> Migration:
    match = _FILE.fullmatch(path.name)
    if match is None:
        raise ValueError(f"{path} is not named like 0001_what_it_does.sql")
    data = path.read_bytes()
    return Migration(int(match[1]), match[2], hashlib.sha256(data).hexdigest(), data.decode())


def _apply_next(conn: psycopg.Connection, migrations: Sequence[Migration]) -> Migration | None:
    with conn.transaction():
        set_statement_timeout(conn, PATIENCE)
        conn.execute(_SQL.begin_upgrade)
        conn.execute(_SQL.lock)
        waiting = _pending(migrations, _ledger(conn), newer_allowed=0)
        if not waiting:
            return None
        migration = waiting[0]
        _make_ledger(conn)
        conn.execute(migration.text.encode())
        conn.execute(_SQL.record, (migration.number, migration.name, migration.sha256, __version__))
    return migration


def _make_ledger(conn: psycopg.Connection) -> None:
    try:
        has_schema, has_ledger, _ = _state(conn)
        # If an administrator has created the schema, the right to create schemas is not needed.
        if not has_schema:
            conn.execute(_SQL.create_schema)
        if not has_ledger:
            conn.execute(_SQL.create_ledger)
    except DatabaseUnavailable as error:
        if not isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege):
            raise
        user, database = conn.info.user, conn.info.dbname
        raise DatabaseUnavailable(
            f'user "{user}" may not create a schema in database "{database}".',
            hint=f"Its owner can allow it: CREATE SCHEMA orchestra AUTHORIZATION {user};",
        ) from error


def _state(conn: psycopg.Connection) -> tuple[bool, bool, bool]:
    row = conn.execute(_SQL.state).fetchone()
    assert row is not None
    return bool(row[0]), bool(row[1]), bool(row[2])


def _ledger(conn: psycopg.Connection) -> list[Migration]:
    _, has_ledger, has_more = _state(conn)
    if has_more and not has_ledger:
        raise SchemaMismatch(
            f'database "{conn.info.dbname}" has a schema "orchestra" that this program did not create.',
            hint='Use another database, or remove that schema, and point "postgres" at it.',
        )
    return _applied(conn) if has_ledger else []


def _applied(conn: psycopg.Connection) -> list[Migration]:
    return [Migration(*row) for row in conn.execute(_SQL.applied)]


def _pending(
    migrations: Sequence[Migration], ledger: Sequence[Migration], *, newer_allowed: int
) -> list[Migration]:
    for ours, theirs in zip(migrations, ledger, strict=False):
        if ours.sha256 != theirs.sha256:
            raise SchemaMismatch(
                f"migration {theirs.number} ({theirs.name}) in the database is not the one of this program.",
                hint="The database was created by another build of Orchestra: use that one, or another database.",
            )
    if len(ledger) > len(migrations) + newer_allowed:
        raise SchemaMismatch(
            f"the database has schema {len(ledger)}, this program knows schemas up to {len(migrations)}.",
            hint="Upgrade maestro on this machine.",
        )
    return list(migrations[len(ledger) :])
