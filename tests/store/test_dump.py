"""Dumps: what goes out comes back, whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from orchestra.domain.errors import AlreadyExists, BadInput, DatabaseUnavailable, VolumeError
from orchestra.store import dump as dumps
from orchestra.store.database import connect
from orchestra.store.dump import dump, restore
from orchestra.store.migrate import check


def people(url: str) -> list[str]:
    with connect(url) as conn:
        return [row[0] for row in conn.execute("select name from person order by name")]


def add(url: str, *names: str) -> None:
    with connect(url) as conn:
        for name in names:
            conn.execute("insert into person (name, email) values (%s, '')", (name,))


def test_a_dump_comes_back_as_it_was(database_url: str, hostile_dir: Path) -> None:
    add(database_url, "ana", "zoë; drop")
    target = hostile_dir / "lab.dump"
    assert dump(database_url, target) == target.stat().st_size > 1000
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in hostile_dir.iterdir()] == ["lab.dump"]

    add(database_url, "late")
    restore(database_url, target)
    assert people(database_url) == ["ana", "zoë; drop"]
    add(database_url, "next")  # identities go on where they were
    with connect(database_url) as conn:
        check(conn)


def test_a_dump_can_go_to_an_empty_database(
    tcp_database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    add(tcp_database_url, "ana")
    dump(tcp_database_url, tmp_path / "lab.dump")
    restore(empty_database_url, tmp_path / "lab.dump")
    assert people(empty_database_url) == ["ana"]


def test_a_dump_overwrites_nothing(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "lab.dump").write_text("precious")
    with pytest.raises(AlreadyExists, match="exists already"):
        dump(database_url, tmp_path / "lab.dump")
    assert (tmp_path / "lab.dump").read_text() == "precious"


def test_a_folder_that_is_not_there(database_url: str, tmp_path: Path) -> None:
    with pytest.raises(VolumeError, match="cannot be written: No such file or directory"):
        dump(database_url, tmp_path / "none" / "lab.dump")


def test_a_database_that_is_not_there(database_url: str, tmp_path: Path) -> None:
    url = database_url.replace("/test_", "/no_test_")
    with pytest.raises(DatabaseUnavailable, match=r"pg_dump: .* does not exist\."):
        dump(url, tmp_path / "lab.dump")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_dump_changes_nothing(database_url: str, tmp_path: Path) -> None:
    add(database_url, "ana")
    dump(database_url, tmp_path / "whole")
    (tmp_path / "text").write_text("select 1;")
    (tmp_path / "half").write_bytes((tmp_path / "whole").read_bytes()[:-100])
    for name, error in [("text", BadInput), ("none", BadInput), ("half", DatabaseUnavailable)]:
        with pytest.raises(error):
            restore(database_url, tmp_path / name)
    assert people(database_url) == ["ana"]


def test_a_database_in_use_is_left_as_it_is(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump(database_url, tmp_path / "lab.dump")
    add(database_url, "ana")
    monkeypatch.setattr(dumps, "LOCK_TIMEOUT", "100ms")
    with connect(database_url) as conn, conn.transaction():
        conn.execute("select * from person")
        with pytest.raises(DatabaseUnavailable, match="the database is in use"):
            restore(database_url, tmp_path / "lab.dump")
    assert people(database_url) == ["ana"]
