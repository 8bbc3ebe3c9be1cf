"""Dumps before schema upgrades: where they are, how many are kept, and when there is none."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from orchestra.domain.errors import VolumeError
from orchestra.services.database import upgrade
from orchestra.services.database.upgrade import BackupPolicy
from orchestra.store.postgres.dump import check_is_dump, restore
from orchestra.store.schema import migrate
from support.world import World

GB = 1_000_000_000


@pytest.fixture
def older(conn: psycopg.Connection) -> psycopg.Connection:
    """A database whose ledger lacks the last migration, which is made repeatable."""
    World(conn).task(3, "user.ana.precious")
    newest = migrate.known()[-1].number
    conn.execute("delete from schema_migration where number = %s", [newest])
    return conn


@pytest.fixture(autouse=True)
def harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The last migration does nothing, because it has been applied already."""
    known = migrate.known()
    fake = migrate.Migration(known[-1].number, "nothing", known[-1].sha256, "select 1")
    monkeypatch.setattr(migrate, "known", lambda _folder=None: [*known[:-1], fake])


def test_a_dump_is_taken_before_and_the_upgrade_says_where(
    older: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    told: list[str] = []
    change = upgrade.to_newest(
        older, database_url, BackupPolicy(tmp_path / "b", 5, GB), told.append
    )
    [dump] = (tmp_path / "b").iterdir()
    assert told == [
        f"database upgraded from schema {change.before} to {change.after}; a dump of the old one is {dump}"
    ]
    check_is_dump(dump)
    assert (tmp_path / "b").stat().st_mode & 0o077 == 0
    older.execute("delete from task")
    restore(database_url, dump)
    assert older.execute("select name from task").fetchall() == [("user.ana.precious",)]
    assert migrate.current(older) == change.before


def test_few_are_kept(older: psycopg.Connection, database_url: str, tmp_path: Path) -> None:
    for age in range(4):
        path = tmp_path / f"schema-1-{age}.dump"
        path.touch()
        os.utime(path, (1000 - age, 1000 - age))
    (tmp_path / "before-restore-1.dump").touch()
    (tmp_path / "mine.dump").touch()
    upgrade.to_newest(older, database_url, BackupPolicy(tmp_path, 2, GB), lambda _: None)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left[:3] == ["before-restore-1.dump", "mine.dump", "schema-1-0.dump"]
    assert len(left) == 4


def test_none_where_none_is_wanted(
    older: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    told: list[str] = []
    upgrade.to_newest(older, database_url, BackupPolicy(tmp_path, 0, GB), told.append)
    assert list(tmp_path.iterdir()) == []
    assert len(told) == 1
    assert "kept" not in told[0]


def test_a_big_database_is_upgraded_without_one(
    older: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    told: list[str] = []
    upgrade.to_newest(older, database_url, BackupPolicy(tmp_path, 5, 1000), told.append)
    assert "no dump is taken before the upgrade: the database has" in told[0]
    assert "upgraded from schema" in told[1]
    assert list(tmp_path.iterdir()) == []


def test_one_that_pg_dump_cannot_read_is_upgraded_without_one(
    older: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    told: list[str] = []
    elsewhere = database_url.replace("/test_", "/no_test_")
    upgrade.to_newest(older, elsewhere, BackupPolicy(tmp_path, 5, GB), told.append)
    assert told[0].startswith("no dump is taken before the upgrade: pg_dump: ")
    assert "upgraded from schema" in told[1]


def test_nothing_is_upgraded_where_there_is_no_room(
    older: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    before = migrate.current(older)
    (tmp_path / "file").touch()
    with pytest.raises(VolumeError, match="cannot be created") as caught:
        upgrade.to_newest(older, database_url, BackupPolicy(tmp_path / "file" / "b", 5, GB), print)
    assert migrate.current(older) == before
    assert "dumps_kept" in (caught.value.hint or "")
