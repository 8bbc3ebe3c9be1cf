"""Creating, starting and stopping the embedded database's server. Commands that only use it do not import this."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

from orchestra.domain.errors import (
    DatabaseUnavailable,
    NoConnectionLeft,
    NoSuchService,
    PasswordRefused,
)
from orchestra.domain.wording import Action, words
from orchestra.store.driver.database import connect
from orchestra.store.driver.sql import load
from orchestra.store.postgres import datafolder, initdb, postmaster, sharing
from orchestra.store.postgres import programs as pginstall
from orchestra.store.postgres.postmaster import NAME, Place
from orchestra.store.postgres.program_search import find
from orchestra.store.postgres.programs import Announce, Programs

START_TIMEOUT = 60.0

_SQL = load("postgres/embedded")
_LOG_LIMIT = 10_000_000  # bytes

# For one machine that also runs jobs. An administrator's ALTER SYSTEM overrides these.
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",  # small containers have little shared memory
    # Files in the data folder: /dev/shm may be full or inaccessible, and systemd cleans it up at
    # logout.
    "dynamic_shared_memory_type": "mmap",
    "autovacuum_naptime": "15s",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %a ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def make_and_start(place: Place, say: Announce, settings: Mapping[str, str]) -> str:
    """Create the database if there is none, start its server, and return the address. The caller holds `lock`.

    Raises:
        DatabaseUnavailable, Refused, VolumeError: it does not start here; the message says why.
    """
    left_running = (place.cluster / "postmaster.pid").exists()
    datafolder.claim_for(place.data, datafolder.this_host(), left_running=left_running)
    programs = find(place.major)
    check_version(place.data, place.major, programs)
    programs = pginstall.for_server(programs, say)
    initdb.make_server_folder(place, programs)
    if not place.exists:
        initdb.initialise(place, programs)
        say(f"embedded {programs}, new, in {place.data}")
    return _start(place, programs, say, settings)


def _start(place: Place, programs: Programs, say: Announce, settings: Mapping[str, str]) -> str:
    _check_password(place)
    deadline = time.monotonic() + START_TIMEOUT
    log_before: int | None = None
    while time.monotonic() < deadline:
        with postmaster.folder_lock(place) as (descriptor, free):
            if free and log_before is not None:
                raise DatabaseUnavailable(
                    f"the embedded database in {place.data} does not start: {_log_since(place, log_before)}",
                    hint=f"Its log is {place.log}.",
                )
            if free:
                log_before = _launch(place, programs, say, settings, descriptor)
        # The lock is held by a server that is starting or stopping.
        if url := _ready(place):
            return url
        time.sleep(0.02)
    raise DatabaseUnavailable(
        f"the embedded database in {place.data} exists but has not answered for a minute.",
        hint=words(f"Its log is {place.log}; ", Action.STOP_DATABASE_AT_ONCE, " ends it."),
    )


def _launch(
    place: Place, programs: Programs, say: Announce, settings: Mapping[str, str], descriptor: int
) -> int:
    """Start the server, which inherits the descriptor and with it the lock. Return the previous size of the log."""
    socket_folder = initdb.socket_folder(place, programs)
    _remove_stale_locks(place, socket_folder)
    share = sharing.read(place)
    if share and (trouble := sharing.trouble(share)):
        say(trouble)  # on this machine, work goes on
        share = None
    sharing.write_rules(place, programs, share)
    shared = sharing.server_settings(share) if share else {}
    ours = {"unix_socket_directories": str(socket_folder)}
    _write_settings(place, programs, {**_SETTINGS, **shared, **settings, **ours})
    size = place.log.stat().st_size if place.log.exists() else 0
    if size > _LOG_LIMIT:
        place.log.rename(place.log.with_suffix(".log.1"))
        size = 0
    programs.spawn("postgres", ["-D", place.cluster], log=place.log, keep_open=descriptor)
    return size


def _log_since(place: Place, size: int) -> str:
    try:
        return initdb.complaint(place.log.read_bytes()[size:].decode(errors="replace"))
    except OSError as error:
        return f"its log cannot be written: {error.strerror}"


def _ready(place: Place) -> str | None:
    """Wait until the server answers, create our database in it if needed, and return the address."""
    url = postmaster.url(place, "postgres")
    if url is None:
        return None
    try:
        with connect(url, name="maestro: start", statement_timeout=START_TIMEOUT) as conn:
            if conn.execute(_SQL.has_database, (NAME,)).fetchone() is None:
                conn.execute(_SQL.create_database)
    except NoConnectionLeft as error:
        raise NoConnectionLeft(
            f"the embedded database in {place.data} has no connection left: all of them are in use.",
            hint="Close notebooks, scripts and waiting commands that you do not need, and try again.",
        ) from error
    except PasswordRefused as error:
        raise PasswordRefused(
            f"the embedded database in {place.data} does not know the password in {place.password}.",
            hint="Was that file changed or restored? It belongs to the database beside it.",
        ) from error
    except NoSuchService:
        raise
    except DatabaseUnavailable:
        return None
    return postmaster.answering(place)


def check_version(data_dir: Path, major: int | None, programs: Programs) -> None:
    """Check that programs can read the database that version `major` created in a folder.

    Raises:
        DatabaseUnavailable: another major version of PostgreSQL created it.
    """
    if major in (None, programs.major):
        return
    raise DatabaseUnavailable(
        f"the database in {data_dir} was created by PostgreSQL {major}, but {programs} was found.",
        hint=words(
            f'"postgres_bin" in the configuration can name a folder with the programs of PostgreSQL {major}. '
            "To switch: ",
            Action.DUMP_DATABASE,
            " with these, move the data folder away, remove that setting, and ",
            Action.RESTORE_DATABASE,
            ".",
        ),
    )


def _check_password(place: Place) -> None:
    if not place.password.exists():
        raise DatabaseUnavailable(
            f"the password of the database in {place.data} is missing: {place.password}.",
            hint="Restore that file, or move the folder away for a new, empty database.",
        )


def _remove_stale_locks(place: Place, socket_folder: Path) -> None:
    """Remove the lock files of a dead server whose process id now belongs to a zombie or another program.

    PostgreSQL itself removes them if no process of our account has that id. No other process can be starting a server
    here: the caller holds the folder's lock, which every process of a server would hold.
    """
    for path in (place.cluster / "postmaster.pid", *socket_folder.glob(".s.PGSQL.*.lock")):
        try:
            pid = int(path.read_text(encoding="utf-8").partition("\n")[0])
            command = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for a zombie
        except (OSError, ValueError):
            continue
        if b"postgres" not in command:
            path.unlink(missing_ok=True)


def _write_settings(place: Place, programs: Programs, settings: Mapping[str, str]) -> None:
    lines = ["# Written by maestro at each start. Use ALTER SYSTEM for settings of your own."]
    lines += [f"{key} = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in settings.items()]
    initdb.write_private(place.cluster / "postgresql.conf", "\n".join(lines) + "\n", programs)


def stop(place: Place, mode: Literal["smart", "fast", "immediate"]) -> bool:
    """Stop the server and wait for that; False if it was not running. The caller holds `lock`.

    Raises:
        DatabaseUnavailable: it does not stop within a minute.
    """
    if not postmaster.is_alive(place):
        return False
    programs = pginstall.for_server(find(place.major), _say_nothing)
    facts = postmaster.postmaster(place)
    done = programs.run(
        "pg_ctl", ["stop", "-D", place.cluster, "-m", mode, "-w", "-t", str(int(START_TIMEOUT))]
    )
    if done.returncode and postmaster.is_alive(place):
        raise DatabaseUnavailable(
            f"the embedded database in {place.data} does not stop.",
            hint=words(
                f"Its log is {place.log}; ",
                Action.STOP_DATABASE_AT_ONCE,
                " does not wait for its clients.",
            ),
        )
    if len(facts) > 4:
        with suppress(OSError):  # there are files of others
            Path(facts[4]).rmdir()
    return True


def _say_nothing(_line: str) -> None:
    pass
