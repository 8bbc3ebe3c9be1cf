"""Fixtures of all tests: a database for each, and folders with names that break careless code."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from orchestra.store.driver.database import connect
from support import containers
from support import docker as docker_service
from support import slurm as real_slurm
from support.containers import Engine, Registry
from support.needs import missing, need, pytest_runtest_setup, pytest_terminal_summary
from support.ordinary import Ordinary
from support.server import KINDS, Server, kinds_for, new_run, remove, the_server
from support.slurm import Slurm
from support.waiting import wait_until
from support.world import World

__all__ = ["pytest_runtest_setup", "pytest_terminal_summary", "wait_until"]

_RUN = "ORCHESTRA_TEST_RUN"


def pytest_xdist_auto_num_workers() -> int:
    """Two workers per processor, up to eight: the tests mostly wait for processes and deadlines."""
    processors = len(os.sched_getaffinity(0))
    return max(processors, min(2 * processors, 8))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--server", choices=KINDS, help="the kind of PostgreSQL that tests run on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, so that no worker is left with one at the end.

    Each worker begins with an equal part of the list, and steals from the ends of others' parts later.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.get_closest_marker("slow")]
    others = [item for item in items if not item.get_closest_marker("slow")]
    ends = [len(others) * worker // workers for worker in range(workers + 1)]
    items[:] = [
        item
        for worker in range(workers)
        for item in (*slow[worker::workers], *others[ends[worker] : ends[worker + 1]])
    ]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test once for each kind of server that it is about."""
    if "database_server" in metafunc.fixturenames:
        kinds = kinds_for(metafunc)
        metafunc.parametrize("database_server", kinds, indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    """Name the run's folder once, in the process that pytest's workers come from."""
    if not hasattr(config, "workerinput"):
        os.environ[_RUN] = str(new_run())
        os.environ[f"{_RUN}_PID"] = str(os.getpid())
    # The tests use their own database, not the one that the user has configured.
    for key in [key for key in os.environ if key.startswith(("MAESTRO_", "PG"))]:
        del os.environ[key]
    # A shell's background job begins with Ctrl-C ignored, and so would every command that a test wants to interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        remove(Path(os.environ[_RUN]))


@pytest.fixture(scope="session")
def run_folder() -> Path:
    """The folder of what all tests of the run share."""
    return Path(os.environ[_RUN])


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest, run_folder: Path) -> Server:
    """The run's PostgreSQL, of the kind that `kinds_for` has chosen; by default the embedded one."""
    return the_server(run_folder, getattr(request, "param", KINDS[0]))


@pytest.fixture
def database_url(database_server: Server) -> Iterator[str]:
    """The address of this test's own database, with an empty schema."""
    with database_server.clone(f"test_{secrets.token_hex(6)}") as url:
        yield url


@pytest.fixture
def tcp_database_url(database_server: Server, database_url: str) -> str:
    """The same database at 127.0.0.1 with a password, like a server for several nodes."""
    return database_server.over_tcp(database_url)


@pytest.fixture
def empty_database_url(database_server: Server) -> Iterator[str]:
    """The address of a database without a schema."""
    with database_server.clone(f"test_{secrets.token_hex(6)}") as url:
        with connect(url) as conn:
            conn.execute("drop schema orchestra cascade")
        yield url


@pytest.fixture
def conn(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection to this test's database."""
    with connect(database_url, name="test") as connection:
        yield connection


@pytest.fixture
def world(conn: psycopg.Connection) -> World:
    """A `World` in this test's database."""
    return World(conn)


@pytest.fixture
def ordinary() -> Iterator[Ordinary]:
    """An ordinary user; only root can act as one."""
    need("root")
    nobody = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="orchestra-home-", dir="/tmp"))
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    user = Ordinary(nobody.pw_uid, nobody.pw_gid, home)
    try:
        if user.interpreter() is None:
            missing("there is no Python of this version that an ordinary user may run")
        yield user
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def apptainer() -> Engine:
    """Apptainer, to be called with its arguments."""
    need("apptainer")
    return containers.apptainer()


@pytest.fixture(scope="session")
def podman(run_folder: Path) -> Engine:
    """Podman, with containers.IMAGE in the run's own storage, which a pilot finds through `podman.env`."""
    need("podman")
    return containers.podman(run_folder)


@pytest.fixture(scope="session")
def docker(run_folder: Path) -> Iterator[Engine]:
    """Docker with containers.IMAGE and a service of this process, which a pilot finds through `docker.env`."""
    need("docker")
    with ExitStack() as stack:
        try:
            service = docker_service.docker(containers.archive(run_folder))
            engine = stack.enter_context(service)
        except AssertionError as error:
            missing(f"Docker's service does not run here: {error}")
        yield engine


@pytest.fixture
def ordinary_apptainer(ordinary: Ordinary) -> Engine:
    """Apptainer as an ordinary user."""
    need("apptainer")
    return containers.apptainer(ordinary)


@pytest.fixture
def ordinary_podman(run_folder: Path, ordinary: Ordinary) -> Engine:
    """Podman as an ordinary user, with containers.IMAGE in that user's storage."""
    need("podman")
    return containers.podman(run_folder, ordinary)


@pytest.fixture(scope="session")
def busybox_sandbox(run_folder: Path) -> Path:
    """A root file system of busybox in a folder; everybody may read it, no test writes to it."""
    need("podman")
    return containers.busybox(run_folder)


@pytest.fixture(scope="session")
def bash_sandbox(run_folder: Path) -> Path:
    """The same with a bash in it."""
    need("podman")
    return containers.bash(run_folder)


@pytest.fixture(scope="session")
def busybox_sif(run_folder: Path) -> Path:
    """A SIF of the same root file system of busybox."""
    need("apptainer")
    return containers.busybox_sif(run_folder)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    """An empty registry of images on this machine."""
    need("registry")
    with containers.registry(tmp_path) as server:
        yield server


@pytest.fixture
def slurm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Slurm]:
    """A Slurm of four nodes that see `tmp_path`. Its parameter has arguments of `support.slurm.started`."""
    options = getattr(request, "param", {})
    with real_slurm.started(tmp_path / "slurm", tmp_path, **options) as cluster:
        yield cluster


@pytest.fixture
def hostile_dir(tmp_path: Path) -> Path:
    """A folder whose name contains shell syntax, which must not be executed."""
    folder = tmp_path / "a'; echo $(x) é"
    folder.mkdir()
    return folder


@pytest.fixture
def empty_tcp_database_url(database_server: Server, empty_database_url: str) -> str:
    """The address of a database without a schema at 127.0.0.1, with a password."""
    return database_server.over_tcp(empty_database_url)
