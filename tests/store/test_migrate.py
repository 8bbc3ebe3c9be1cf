"""Migrations, with test files."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from orchestra import command_words
from orchestra.domain.errors import DatabaseUnavailable, SchemaMismatch
from orchestra.store.driver.database import connect
from orchestra.store.schema.migrate import check, current, is_current, migrate, pending


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_fruit.sql").write_text("create table fruit (name text); -- 100 %s\n")
    (tmp_path / "0002_colour.sql").write_text(
        "alter table fruit add colour text;\ninsert into fruit values ('plum', 'blue');\n"
    )
    return tmp_path


@pytest.fixture
def connection(empty_database_url: str) -> Iterator[psycopg.Connection]:
    with connect(empty_database_url) as conn:
        yield conn


def test_migrations_are_applied_in_order_and_once(
    connection: psycopg.Connection, folder: Path
) -> None:
    assert current(connection) == 0
    assert [migration.number for migration in pending(connection, folder=folder)] == [1, 2]
    assert [migration.name for migration in migrate(connection, folder=folder)] == [
        "fruit",
        "colour",
    ]
    assert migrate(connection, folder=folder) == []
    assert current(connection) == 2
    check(connection, folder=folder)
    assert is_current(connection, folder=folder)
    assert connection.execute("select * from orchestra.fruit").fetchall() == [("plum", "blue")]


def test_this_program_s_own_migrations(database_url: str) -> None:
    with connect(database_url) as conn:
        check(conn)
        assert pending(conn) == []
        assert migrate(conn) == []


def test_a_migration_that_fails_leaves_nothing(
    connection: psycopg.Connection, folder: Path
) -> None:
    (folder / "0003_bad.sql").write_text("create table half (); select 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(connection, folder=folder)
    assert current(connection) == 2
    assert connection.execute("select to_regclass('orchestra.half')").fetchone() == (None,)


def test_two_migrators_at_once(empty_database_url: str, folder: Path) -> None:
    applied: list[int] = []

    def run() -> None:
        with connect(empty_database_url) as conn:
            applied.extend(migration.number for migration in migrate(conn, folder=folder))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(applied) == [1, 2]


def older(folder: Path) -> None:
    (folder / "0003_more.sql").write_text("select 1;")


def newer(folder: Path) -> None:
    (folder / "0002_colour.sql").unlink()


def altered(folder: Path) -> None:
    (folder / "0001_fruit.sql").write_text("create table vegetable ();")


@pytest.mark.parametrize(
    ("change", "sentence", "hint"),
    [
        (older, "has schema 2, this program needs 3", "maestro user init upgrades it"),
        (newer, "has schema 2, this program knows schemas up to 1", "Upgrade maestro"),
        (altered, r"migration 1 \(fruit\) in the database is not the one", "another build"),
    ],
)
def test_a_schema_that_does_not_fit(
    connection: psycopg.Connection,
    folder: Path,
    change: Callable[[Path], None],
    sentence: str,
    hint: str,
) -> None:
    migrate(connection, folder=folder)
    change(folder)
    with pytest.raises(SchemaMismatch, match=sentence) as caught:
        check(connection, folder=folder)
    assert hint in (command_words.hint_of(caught.value) or "")


def test_a_schema_that_waits_for_a_migration_is_not_current(
    connection: psycopg.Connection, folder: Path
) -> None:
    assert not is_current(connection, folder=folder)
    connection.execute("create schema orchestra")
    assert not is_current(connection, folder=folder)
    migrate(connection, folder=folder)
    older(folder)
    assert not is_current(connection, folder=folder)


def test_a_schema_that_is_newer_is_refused_at_once(
    connection: psycopg.Connection, folder: Path
) -> None:
    migrate(connection, folder=folder)
    newer(folder)
    with pytest.raises(SchemaMismatch, match="knows schemas up to 1"):
        is_current(connection, folder=folder)


def test_a_program_one_version_behind_may_go_on(
    connection: psycopg.Connection, folder: Path
) -> None:
    migrate(connection, folder=folder)
    newer(folder)
    check(connection, newer_allowed=1, folder=folder)
    with pytest.raises(SchemaMismatch):
        migrate(connection, folder=folder)


def test_no_schema_yet(connection: psycopg.Connection) -> None:
    with pytest.raises(SchemaMismatch, match="has no Orchestra schema yet") as caught:
        check(connection)
    assert command_words.hint_of(caught.value) == "maestro user init creates it."


def test_a_shared_database_stays_as_it_is(connection: psycopg.Connection, folder: Path) -> None:
    connection.execute("create table public.fruit (theirs text)")
    migrate(connection, folder=folder)
    row = connection.execute(
        "select count(*) from pg_tables where schemaname = 'public' and tablename <> 'fruit'"
    ).fetchone()
    assert row == (0,)


def test_a_schema_of_another_program_is_left_alone(
    connection: psycopg.Connection, folder: Path
) -> None:
    connection.execute("create schema orchestra create table violin (name text)")
    for act in (migrate, check):
        with pytest.raises(SchemaMismatch, match="this program did not create"):
            act(connection, folder=folder)
    assert connection.execute("select count(*) from violin").fetchone() == (0,)


def test_a_user_who_may_not_make_schemas(connection: psycopg.Connection, folder: Path) -> None:
    role = sql.Identifier(f"guest_{connection.info.dbname}")
    connection.execute(sql.SQL("create role {}").format(role))
    connection.execute(sql.SQL("set role {}").format(role))
    try:
        with pytest.raises(DatabaseUnavailable, match="may not create a schema"):
            migrate(connection, folder=folder)
    finally:
        connection.execute("reset role")
        connection.execute(sql.SQL("drop role {}").format(role))
