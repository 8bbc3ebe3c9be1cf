"""The real embedded database: as the user who runs the tests, and for root also as an ordinary user."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from psycopg import pq

from orchestra.domain.errors import DatabaseUnavailable, NoConnectionLeft, Refused, VolumeError
from orchestra.store.driver.database import connect
from orchestra.store.postgres import datafolder, embedded, initdb, postmaster, startup
from orchestra.store.postgres import programs as pginstall
from orchestra.store.postgres.postmaster import Place
from orchestra.store.postgres.programs import Programs
from support.ordinary import Ordinary
from support.waiting import wait_until

FAST = {"fsync": "off"}

Start = Callable[..., str]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    remove(folder)


def remove(data: Path) -> None:
    embedded.stop(data, mode="immediate")
    # root's is not in pytest's folder, and has 40 MB
    shutil.rmtree(Place(data).server, ignore_errors=True)


def pid_of(data: Path) -> int:
    pid = embedded.status(data).pid
    assert pid is not None
    return pid


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Simulate a full disk for started programs: files cannot exceed `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_is_made_once_started_stopped_and_keeps_what_it_was_given(data: Path) -> None:
    said: list[str] = []
    assert embedded.url_if_running(data) is None
    assert not embedded.status(data).exists
    url = embedded.ensure_running(data, said.append, settings=FAST)
    assert f"embedded PostgreSQL 18, new, in {data}" in said
    with connect(url) as conn:
        conn.execute("create table public.kept as select 42 as answer")

    assert embedded.ensure_running(data, said.append) == url == embedded.url_if_running(data)
    status = embedded.status(data)
    assert status.running
    assert status.size > 1_000_000
    assert embedded.stop(data)
    assert not embedded.stop(data)
    assert not embedded.status(data).running
    assert embedded.url_if_running(data) is None

    said.clear()
    with connect(embedded.ensure_running(data, said.append, settings=FAST)) as conn:
        assert conn.execute("select answer from public.kept").fetchone() == (42,)
    assert said == []


def test_what_it_is(data: Path) -> None:
    with connect(embedded.ensure_running(data, settings=FAST)) as conn:
        facts = {
            key: conn.execute(f"show {key}".encode()).fetchone()
            for key in ("server_encoding", "listen_addresses", "data_checksums")
        }
        rules = conn.execute("select distinct auth_method from pg_hba_file_rules").fetchall()
    assert facts["server_encoding"] == ("UTF8",)
    assert facts["listen_addresses"] == ("",)
    assert facts["data_checksums"] == ("on",)
    assert rules == [("scram-sha-256",)]


def test_no_other_user_can_reach_it(data: Path) -> None:
    url = embedded.ensure_running(data, settings=FAST)
    server = Place(data).server
    for private in (server, server / "socket", data / "password", server / "pg18"):
        assert stat.S_IMODE(private.stat().st_mode) & 0o077 == 0, private
    password = (data / "password").read_text()
    with pytest.raises(DatabaseUnavailable, match="password authentication failed"):
        connect(url.replace(password, "guessed"))
    for argument in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert password.encode() not in argument.read_bytes()
        except OSError:
            pass  # it ended


def test_a_killed_server_is_started_again(data: Path) -> None:
    with connect(embedded.ensure_running(data, settings=FAST)) as conn:
        conn.execute("create table public.kept as select 42 as answer")
        os.kill(pid_of(data), signal.SIGKILL)
    with connect(embedded.ensure_running(data, settings=FAST)) as conn:
        assert conn.execute("select answer from public.kept").fetchone() == (42,)


def test_a_reused_pid_is_not_mistaken_for_the_server(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    pid_file = Place(data).cluster / "postmaster.pid"
    text = pid_file.read_text()
    embedded.stop(data, mode="immediate")
    pid_file.write_text(text.replace(text.partition("\n")[0], str(os.getpid()), 1))
    assert not embedded.status(data).running
    assert not embedded.stop(data)
    embedded.ensure_running(data, settings=FAST)
    assert pid_of(data) != os.getpid()


def test_it_outlives_the_command_that_started_it_and_its_ctrl_c(data: Path) -> None:
    url = embedded.ensure_running(data, settings=FAST)
    session = Path(f"/proc/{pid_of(data)}/stat").read_text().rpartition(")")[2].split()[3]
    assert int(session) != os.getsid(0)
    connect(url).close()


def test_several_commands_at_once_make_one(data: Path) -> None:
    urls: list[str] = []
    said: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: urls.append(embedded.ensure_running(data, said.append, settings=FAST))
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(urls) == 4
    assert len(set(urls)) == 1
    assert [line for line in said if "new, in" in line] == [
        f"embedded PostgreSQL 18, new, in {data}"
    ]


def test_a_live_server_without_its_pid_file_is_not_joined_by_a_second(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Like a server in another container on the same folder: only its lock is visible.
    embedded.ensure_running(data, settings=FAST)
    pid = pid_of(data)
    hidden = Place(data).cluster / "postmaster.pid"
    moved = hidden.rename(hidden.with_name("hidden"))
    monkeypatch.setattr(startup, "START_TIMEOUT", 0.3)
    try:
        with pytest.raises(DatabaseUnavailable, match="exists but has not answered"):
            embedded.ensure_running(data, settings=FAST)
    finally:
        moved.rename(hidden)
    assert pid_of(data) == pid


def test_another_machine_s_folder_is_refused(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    embedded.stop(data)
    stamp = json.loads((data / "host.json").read_text())
    (data / "host.json").write_text(json.dumps({**stamp, "machine_id": "f00d", "name": "euler"}))
    with pytest.raises(Refused, match=f"the database in {data} belongs to the machine euler"):
        embedded.ensure_running(data, settings=FAST)
    assert not embedded.status(data).running


def test_a_reboot_of_the_same_machine_is_fine(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    embedded.stop(data)
    stamp = json.loads((data / "host.json").read_text())
    (data / "host.json").write_text(json.dumps({**stamp, "boot_id": "yesterday"}))
    embedded.ensure_running(data, settings=FAST)
    assert json.loads((data / "host.json").read_text()) == stamp


def test_a_long_and_hostile_name(hostile_dir: Path) -> None:
    data = hostile_dir / ("long " * 20) / "data, too"
    try:
        connect(embedded.ensure_running(data, settings=FAST)).close()
    finally:
        remove(data)


def test_the_name_of_a_folder_is_never_code(tmp_path: Path) -> None:
    data = tmp_path / "$(touch injected); `touch injected`" / 'da"ta'
    try:
        connect(embedded.ensure_running(data, settings=FAST)).close()
        assert embedded.stop(data)
    finally:
        remove(data)
    assert [path.name for path in Path("/").glob("injected")] == []
    assert [path.name for path in tmp_path.rglob("injected")] == []


def test_an_incomplete_database_is_created_again(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    embedded.stop(data)
    place = Place(data)
    # As after a power cut during initdb.
    half = place.cluster.rename(place.server / "pg18.new")
    (half / "PG_VERSION").unlink()
    connect(embedded.ensure_running(data, settings=FAST)).close()
    assert not half.exists()


def test_a_full_disk_is_reported_in_one_sentence(data: Path) -> None:
    with file_size_limit(3_000_000), pytest.raises(DatabaseUnavailable) as caught:
        embedded.ensure_running(data, settings=FAST)
    assert re.fullmatch(
        rf"no database can be created in {data}: .*(File too large|No space left on device).*",
        str(caught.value),
    )
    connect(embedded.ensure_running(data, settings=FAST)).close()


def test_settings_that_postgresql_refuses_are_reported_in_one_sentence(data: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match=r'does not start: .*"shared_buffers"'):
        embedded.ensure_running(data, settings={"shared_buffers": "much"})


def test_a_lost_password_file_is_reported_in_one_sentence(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    embedded.stop(data)
    kept = (data / "password").read_text()
    (data / "password").unlink()
    with pytest.raises(DatabaseUnavailable, match=r"the password of the database in .* is missing"):
        embedded.ensure_running(data, settings=FAST)
    (data / "password").write_text("another")
    with pytest.raises(DatabaseUnavailable, match="does not know the password"):
        embedded.ensure_running(data, settings=FAST)
    (data / "password").write_text(kept)
    embedded.ensure_running(data, settings=FAST)


def test_another_major_version_is_reported_in_one_sentence(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    embedded.stop(data)
    (Place(data).cluster / "PG_VERSION").write_text("17\n")
    with pytest.raises(
        DatabaseUnavailable,
        match="was created by PostgreSQL 17, but PostgreSQL 18",
    ):
        embedded.ensure_running(data, settings=FAST)
    (Place(data).cluster / "PG_VERSION").write_text("18\n")


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"/dev/vda / ext4 rw 0 0\nserver:/home {tmp_path} nfs4 rw 0 0\n"
    monkeypatch.setattr(datafolder, "_read_mounts", lambda: mounts)
    with pytest.raises(Refused, match=r"is on a network file system \(nfs4\)"):
        embedded.ensure_running(tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(VolumeError, match="is not a folder that only you can write to"):
        embedded.ensure_running(tmp_path / "open")
    (tmp_path / "file").touch()
    with pytest.raises(VolumeError, match=r"is not a folder|cannot be created"):
        embedded.ensure_running(tmp_path / "file")
    with pytest.raises(VolumeError, match="cannot be created or used"):
        embedded.ensure_running(tmp_path / "file" / "data")


# Values that libpq's variables accept, and that no connection to the embedded database could use.
WORDS = {
    "PGPORT": "1",
    "PGSSLMODE": "verify-full",
    "PGGSSENCMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGREQUIREAUTH": "none",
    "PGHOSTADDR": "192.0.2.1",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGMINPROTOCOLVERSION": "3.2",
    "PGSSLMINPROTOCOLVERSION": "TLSv1.3",
    "PGSSLMAXPROTOCOLVERSION": "TLSv1.1",
    "PGCLIENTENCODING": "LATIN1",
    "PGTZ": "Asia/Kolkata",
    "PGDATESTYLE": "German",
}


def test_variables_of_libpq_are_about_other_databases(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.ensure_running(data, settings=FAST)
    options = {
        option.envvar.decode(): option for option in pq.Conninfo.get_defaults() if option.envvar
    }
    service = tmp_path / "services"
    service.write_text("[other]\nhost=192.0.2.1\nsslmode=require\nhostaddr=192.0.2.1\n")
    monkeypatch.setattr(startup, "START_TIMEOUT", 5)
    for name in {*options, *WORDS} - {"PGSERVICE", "PGSERVICEFILE"}:
        monkeypatch.setenv(name, WORDS.get(name, "nonsense"))
        with connect(embedded.ensure_running(data), connect_timeout=2) as conn:
            assert conn.execute("select now()").fetchone() is not None, name
        monkeypatch.delenv(name)
    monkeypatch.setenv("PGSERVICEFILE", str(service))
    monkeypatch.setenv("PGSERVICE", "other")
    connect(embedded.ensure_running(data), connect_timeout=2).close()
    monkeypatch.setenv("PGSERVICE", "none")
    with pytest.raises(DatabaseUnavailable, match="PGSERVICE"):
        embedded.ensure_running(data)


def test_when_no_connection_is_left_that_is_said_at_once(data: Path) -> None:
    url = embedded.ensure_running(data, settings={**FAST, "max_connections": "8"})
    before = time.monotonic()
    with ExitStack() as stack:
        with suppress(NoConnectionLeft):
            for _ in range(8):
                stack.enter_context(connect(url))
        with pytest.raises(NoConnectionLeft, match="all of them are in use"):
            embedded.ensure_running(data)
    assert time.monotonic() - before < 10


def test_a_server_that_hangs_can_be_ended(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    pid = pid_of(data)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: gone(pid), describe="the killed server")
    # Its last processes may live a little longer and hold the lock.
    wait_until(lambda: not postmaster.is_alive(Place(data)), describe="the server's lock")
    assert not embedded.stop(data)


@pytest.mark.needs("root")
def test_root_s_server_is_not_root(data: Path) -> None:
    embedded.ensure_running(data, settings=FAST)
    assert Path(f"/proc/{pid_of(data)}").stat().st_uid != 0


@pytest.mark.needs("root")
def test_files_outlive_their_data_folder_only_as_long_as_it_may_come_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root's files are elsewhere, with a symlink to them in the data folder, which may be moved or not mounted."""
    monkeypatch.setattr(pginstall, "SHARED", tmp_path / "shared")
    programs = Programs(Path("/bin"), 18, account=pginstall.Account("root", 0, 0))

    def make(name: str) -> Place:
        place = Place(tmp_path / name)
        place.data.mkdir(mode=0o700, exist_ok=True)
        initdb.make_server_folder(place, programs)
        return place

    (tmp_path / "shared").mkdir()
    first, moved, earlier = make("first"), make("moved"), make("earlier")
    files = [place.server for place in (first, moved, earlier)]
    moved.data.rename(tmp_path / "elsewhere")
    initdb.forget(files[2])
    files[2].with_suffix(".of").write_text(str(earlier.data))
    shutil.rmtree(earlier.data)
    make("second")
    assert [folder.exists() for folder in files] == [True, True, True]

    shutil.rmtree(first.data)
    (files[1] / "pg18").mkdir()
    shutil.rmtree(tmp_path / "elsewhere")
    (files[1] / "pg18/postmaster.pid").touch()  # it runs
    make("third")
    assert [folder.exists() for folder in files] == [False, True, True]
    assert not files[0].with_suffix(".note").exists()


@pytest.mark.needs("root")
def test_as_an_ordinary_user(ordinary: Ordinary) -> None:
    script = """
from pathlib import Path
from orchestra.store.postgres import embedded
from orchestra.store.driver.database import connect
from orchestra.store.schema.migrate import migrate, check
url = embedded.ensure_running(None, print)
with connect(url) as conn:
    migrate(conn)
    check(conn)
usual = embedded.status().data_dir
print(usual)
assert embedded.stop()
odd = usual.rename(usual.with_name("a comma, and"))
with connect(embedded.ensure_running(odd)) as conn:
    sockets = Path(conn.info.host)
assert sockets.parent == Path("/tmp"), sockets
assert embedded.stop(odd)
assert not sockets.exists()
odd.rename(usual)
"""
    done = ordinary.python(script)
    assert done.returncode == 0, done.stderr
    usual = ordinary.home / ".local/share/orchestra"
    assert done.stdout.splitlines() == [f"embedded PostgreSQL 18, new, in {usual}", str(usual)]
    assert stat.S_IMODE(usual.stat().st_mode) == 0o700


@pytest.mark.needs("root")
def test_an_unwritable_folder_is_reported_in_one_sentence(ordinary: Ordinary) -> None:
    done = ordinary.python(
        "from pathlib import Path; from orchestra.store.postgres import embedded\n"
        "try: embedded.ensure_running(Path('/usr/lib/data'))\n"
        "except Exception as error: print(error)"
    )
    assert done.stdout == (
        "/usr/lib/data cannot be created or used for the database: Permission denied.\n"
    )
