"""Fixtures: a user at a terminal, with a database server or with only a home folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from orchestra.store.postgres import embedded
from orchestra.store.postgres.program_search import find
from support.cluster import Cluster
from support.commands import Forkserver
from support.maestro import Maestro
from support.remote_maestro import RemoteMaestro


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Maestro]:
    """A user with an empty home and no configuration; their embedded database would be in `tmp_path`."""
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    own = {"MAESTRO_DATA_DIR": tmp_path / "data", "MAESTRO_STATE_DIR": tmp_path / "state"}
    user = Maestro(home, folder, {key: str(place) for key, place in own.items()})
    yield user
    user.end()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked so over PostgreSQL, and over HTTP."""
    if (
        "maestro" in metafunc.fixturenames
        and metafunc.definition.get_closest_marker("both_ways")
        and not metafunc.definition.get_closest_marker("postgresql_only")
    ):
        metafunc.parametrize("maestro", ("postgresql", "http"), indirect=True)


@pytest.fixture(scope="session")
def commands() -> Iterator[Forkserver]:
    """What runs commands over HTTP."""
    with closing(Forkserver()) as found:
        yield found


@pytest.fixture
def maestro(
    request: pytest.FixtureRequest, newcomer: Maestro, tcp_database_url: str
) -> Iterator[Maestro]:
    """User ana, whose configuration names a PostgreSQL server over TCP, or over it a server of Orchestra."""
    del newcomer.env["MAESTRO_DATA_DIR"]
    user = newcomer
    if getattr(request, "param", "postgresql") == "http":
        runner = request.getfixturevalue("commands")
        user = RemoteMaestro(newcomer.home, newcomer.folder, newcomer.env, commands=runner)
    user.configure(postgres=tcp_database_url, email="ana@example.org", username="ana")
    yield user
    if user is not newcomer:
        user.end()


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Maestro]:
    """A user who follows a page: ana, on host gauss, in a new folder, with `maestro` on the PATH."""
    home = tmp_path / "home"
    (home / "tour").mkdir(parents=True)
    (tmp_path / "shell").touch()  # for what a page wants its commands to know
    user = Maestro(home, home / "tour")
    user.env = {
        # PostgreSQL's own programs last, where the machine has none
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}:{find().folder}",
        "MAESTRO_NODE": "gauss",
        "MAESTRO_DATA_DIR": str(home / ".local/share/orchestra"),
        "MAESTRO_STATE_DIR": str(tmp_path / "state"),
        "MAESTRO_EMAIL": "ana@gauss",
        "BASH_ENV": str(tmp_path / "shell"),
    }
    yield user
    user.line("down --kill --yes", status=None)
    user.end()
    if (home / "local").exists():  # a second database, of a page that shows one
        embedded.stop(home / "local", mode="immediate")


@pytest.fixture
def cluster(conn: psycopg.Connection, database_url: str, hostile_dir: Path) -> Iterator[Cluster]:
    """A database, and a volume whose name breaks careless code."""
    found = Cluster(conn, database_url, hostile_dir)
    yield found
    found.end()


@pytest.fixture
def demo_folder(request: pytest.FixtureRequest, newcomer: Maestro) -> Iterator[Path]:
    """A folder for a demo, with the name that the test requests; whatever still runs there is ended afterwards."""
    folder = newcomer.folder / getattr(request, "param", "my demo")
    newcomer.env = {}
    yield folder
    newcomer.env = {"MAESTRO_CONFIG": str(folder / "orchestra.json")}
    if (folder / "database").exists():
        newcomer("down", "--kill", "--yes", status=None)
        embedded.stop(folder / "database", mode="immediate")
