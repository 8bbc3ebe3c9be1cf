"""Dumps: what is dumped is restored, completely or not at all."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path

import pytest

from orchestra.domain.errors import AlreadyExists, BadInput, DatabaseUnavailable, VolumeError
from orchestra.store.driver.database import connect
from orchestra.store.postgres import dump as dumps
from orchestra.store.postgres import dump_check
from orchestra.store.postgres.dump import dump, restore
from orchestra.store.schema.migrate import check
from support.proxy import cable
from support.server import the_server


def people(url: str) -> list[str]:
    with connect(url) as conn:
        return [row[0] for row in conn.execute("select name from person order by name")]


def add(url: str, *names: str) -> None:
    with connect(url) as conn:
        for name in names:
            conn.execute("insert into person (name, email) values (%s, '')", (name,))


def test_a_dump_is_restored_as_it_was(database_url: str, hostile_dir: Path) -> None:
    add(database_url, "ana", "zoë; drop")
    target = hostile_dir / "lab.dump"
    assert dump(database_url, target) == target.stat().st_size > 1000
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in hostile_dir.iterdir()] == ["lab.dump"]

    add(database_url, "late")
    restore(database_url, target)
    assert people(database_url) == ["ana", "zoë; drop"]
    add(database_url, "next")  # identity columns continue from their last values
    with connect(database_url) as conn:
        check(conn)


def test_a_dump_can_go_to_an_empty_database(
    tcp_database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    add(tcp_database_url, "ana")
    dump(tcp_database_url, tmp_path / "lab.dump")
    restore(empty_database_url, tmp_path / "lab.dump")
    assert people(empty_database_url) == ["ana"]


def test_a_dump_with_rights_of_a_role_that_is_unknown_can_be_restored(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    add(database_url, "ana")
    role = f"lab_{secrets.token_hex(4)}"
    with connect(database_url) as conn:
        conn.execute(f"create role {role}")
        conn.execute(f"grant select on person to {role}")
        dump(database_url, tmp_path / "lab.dump")
        conn.execute(f"drop owned by {role}")
        conn.execute(f"drop role {role}")
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


@pytest.mark.parametrize("after", [0, 20_000])
def test_a_server_that_stops_answering_is_given_up(
    tcp_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setitem(dumps.PATIENCE, "pg_dump", 1.0)
    with cable(tcp_database_url) as way:
        way.mute_everybody(after=after)
        with pytest.raises(DatabaseUnavailable, match=r"does not answer|timeout expired"):
            dump(way.url(tcp_database_url), tmp_path / "lab.dump")
    assert list(tmp_path.iterdir()) == []


def test_another_file_than_a_dump_changes_nothing(database_url: str, tmp_path: Path) -> None:
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


def read_back(url: str, path: Path) -> list[str]:
    said: list[str] = []
    assert dump_check.dump_and_check(url, path, said.append) == path.stat().st_size
    return said


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of the database that a dump is restored into."""
    token = secrets.token_hex(4)
    monkeypatch.setattr(dump_check, "token_hex", lambda _bytes: token)
    return f"orchestra_check_{token}"


def is_there(url: str, database: str) -> bool:
    with connect(url) as conn:
        row = conn.execute("select exists (select from pg_database where datname = %s)", [database])
        return bool(row.fetchone() == (True,))


def test_a_dump_is_restored_and_compared(database_url: str, tmp_path: Path, scratch: str) -> None:
    add(database_url, "ana", "zoë; drop")
    assert read_back(database_url, tmp_path / "lab.dump")
    restore(database_url, tmp_path / "lab.dump")
    assert people(database_url) == ["ana", "zoë; drop"]
    assert not is_there(database_url, scratch)


def test_a_dump_that_differs_is_detected(
    database_url: str, tmp_path: Path, scratch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database_url, "ana")

    def restored(url: str, path: Path) -> None:
        assert is_there(database_url, scratch)
        restore(url, path)
        with connect(url) as conn:
            conn.execute("update orchestra.person set email = 'another'")

    monkeypatch.setattr(dumps, "restore", restored)
    with pytest.raises(
        dump_check.DumpDiffers, match="its table person differs from what was dumped"
    ):
        read_back(database_url, tmp_path / "lab.dump")
    assert not is_there(database_url, scratch)


def test_what_changes_meanwhile_is_not_compared(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = dumps.dump

    def slow(url: str, path: Path, *, snapshot: str | None = None) -> int:
        add(database_url, "late")
        return original(url, path, snapshot=snapshot)

    monkeypatch.setattr(dumps, "dump", slow)
    read_back(database_url, tmp_path / "lab.dump")
    restore(database_url, tmp_path / "lab.dump")
    assert people(database_url) == []


def test_who_may_make_no_database_reads_back_on_a_server_of_our_own(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(database_url, "ana")
    monkeypatch.setattr(dump_check, "_make", lambda _conn, _name: False)
    before = set(Path("/var/tmp").glob("orchestra-check-*"))
    read_back(database_url, tmp_path / "lab.dump")
    assert set(Path("/var/tmp").glob("orchestra-check-*")) == before


@pytest.mark.needs("postgresql 15")
@pytest.mark.parametrize(("one", "other"), [("embedded", "debian15"), ("debian15", "embedded")])
def test_a_dump_of_one_version_is_restored_on_another(
    run_folder: Path, one: str, other: str, tmp_path: Path
) -> None:
    path = tmp_path / "lab.dump"
    name = f"test_{secrets.token_hex(6)}"
    with the_server(run_folder, one).clone(name) as url:
        add(url, "ana", "zoë")
        dump(url, path)
        with connect(url) as conn:
            wanted = dump_check.contents(conn)
    with the_server(run_folder, other).clone(name) as url:
        add(url, "gone")
        restore(url, path)
        assert people(url) == ["ana", "zoë"]
        with connect(url) as conn:
            check(conn)
            assert dump_check.contents(conn) == wanted
