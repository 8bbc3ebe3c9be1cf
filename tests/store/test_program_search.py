"""Which PostgreSQL runs the embedded database: a configured one, the wheel's, or one of the system."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.domain.errors import ConfigurationError, DatabaseUnavailable
from orchestra.store.driver.database import connect
from orchestra.store.postgres import embedded, program_search
from orchestra.store.postgres.dump import dump, restore
from orchestra.store.postgres.postmaster import Place
from orchestra.store.postgres.program_search import find
from orchestra.store.schema.migrate import migrate
from support import debian15

FAST = {"fsync": "off"}
PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql")


@pytest.fixture(autouse=True)
def _nothing_named() -> Iterator[None]:
    yield
    program_search.use(None)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    embedded.stop(folder, mode="immediate")
    shutil.rmtree(Place(folder).server, ignore_errors=True)  # root's is not in pytest's folder


def install(folder: Path, version: str, *programs: str) -> Path:
    """Create programs that print their version."""
    folder.mkdir(parents=True)
    for name in programs or PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root folder of a machine without the wheel and without programs, whose PATH has `path` and `conda/bin`."""
    monkeypatch.setattr(program_search, "_PACKAGE", "no_such_package")
    monkeypatch.setattr(program_search, "_ROOT", tmp_path)
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("PATH", f"{tmp_path}/path:{tmp_path}/conda/bin:relative")
    return tmp_path


def test_the_wheel_comes_before_the_path_and_a_setting_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = install(tmp_path / "bin", "17.2")
    monkeypatch.setenv("PATH", str(other))
    assert find().major == find(17).major == 18
    assert find().package is not None
    program_search.use(other)
    assert (find().folder, find().major, find().package) == (other, 17, None)


def test_the_systems_programs_are_found_without_the_wheel(machine: Path) -> None:
    with pytest.raises(
        DatabaseUnavailable, match="no programs of PostgreSQL are installed"
    ) as info:
        find()
    assert "apt install postgresql" in str(info.value.hint)

    install(machine / "usr/lib/postgresql/9.6/bin", "9.6.24")
    install(machine / "usr/lib/postgresql/14/bin", "14.1")
    with pytest.raises(DatabaseUnavailable):
        find()
    fifteen = install(machine / "usr/lib/postgresql/15/bin", "15.18 (Debian 15.18-0+deb12u1)")
    assert find().folder == fifteen
    seventeen = install(machine / "usr/lib/postgresql/17/bin", "17.12")
    assert find().folder == seventeen
    assert find(15).folder == fifteen, "what made the data folder comes before what is newer"
    assert find(16).folder == seventeen
    conda = install(machine / "conda/bin", "16.4")
    assert find().folder == conda, "the PATH comes before the distribution's"
    (machine / "path").mkdir()
    (machine / "path/postgres").symlink_to(seventeen / "postgres")
    assert find().folder == seventeen, "a lone link leads to the others"
    beside = install(machine / "prefix/bin", "18beta2")
    assert (find().folder, find().major) == (beside, 18), "what came with our Python comes first"


def test_incomplete_and_broken_ones_are_passed_over(machine: Path) -> None:
    install(machine / "path", "17.1", "psql", "pg_dump")  # a client's
    broken = install(machine / "conda/bin", "17.1")
    (broken / "postgres").write_bytes(b"\x7fELF of another machine")
    whole = install(machine / "usr/pgsql-16/bin", "16.1")
    assert find().folder == whole


@pytest.mark.parametrize(
    ("version", "programs", "words"),
    [
        ("14.9", PROGRAMS, "of PostgreSQL 14; 15 is the oldest"),
        ("17.1", ("postgres", "psql"), "where there is no initdb"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_sentence(
    tmp_path: Path, version: str, programs: tuple[str, ...], words: str
) -> None:
    program_search.use(install(tmp_path / "bin", version, *programs))
    with pytest.raises(ConfigurationError, match=words):
        find()


@pytest.mark.needs("postgresql 15")
def test_debian_s_serves_as_the_embedded_database(data: Path, tmp_path: Path) -> None:
    said: list[str] = []
    program_search.use(debian15.FOLDER)
    url = embedded.ensure_running(data, said.append, settings=FAST)
    assert said[-1] == f"embedded PostgreSQL 15 of {debian15.FOLDER}, new, in {data}"
    assert embedded.status(data).major == 15
    with connect(url) as conn:
        migrate(conn)
        conn.execute("insert into person (name, email) values ('ana', '')")
    dump(url, tmp_path / "lab.dump")
    assert embedded.stop(data)

    program_search.use(None)
    with pytest.raises(
        DatabaseUnavailable, match="created by PostgreSQL 15, but PostgreSQL 18"
    ) as info:
        embedded.ensure_running(data, settings=FAST)
    assert '"postgres_bin"' in str(info.value.hint)
    assert not embedded.status(data).running

    data.rename(tmp_path / "before")  # as in the hint
    with connect(embedded.ensure_running(data, settings=FAST)) as conn:
        restore(embedded.ensure_running(data), tmp_path / "lab.dump")
        assert conn.execute("select name from person").fetchall() == [("ana",)]
    assert Place(tmp_path / "before").exists, "a folder that was moved away keeps what is in it"
    shutil.rmtree(Place(tmp_path / "before").server)


def test_an_install_in_a_folder_of_its_own_serves_too(data: Path) -> None:
    wheel = find().package  # which has PostgreSQL 16 and 18
    assert wheel is not None
    program_search.use(wheel / "pginstall/bin")
    with connect(embedded.ensure_running(data, settings=FAST)) as conn:
        migrate(conn)
    assert embedded.status(data).major == 16
