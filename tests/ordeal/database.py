"""A PostgreSQL server to be killed, stopped and replaced, with triggers that record every change."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from orchestra.services.database import recovery
from orchestra.store.driver.database import connect
from orchestra.store.postgres import dump, embedded, postmaster
from orchestra.store.schema.migrate import migrate
from ordeal import processes
from support.server import free_port

# Commits must survive a kill -9 of the server, as they survive a crash. Power failures are not tested.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "80",
    "shared_buffers": "32MB",
    "fsync": "off",
}

# In the schema itself, so that a dump contains it.
AUDIT = """
create table orchestra.audit_move (
    id bigint generated always as identity, xid xid8 not null default pg_current_xact_id(),
    task text not null, ordinal integer, before text not null, after text not null
);
create table orchestra.audit_acceptance (
    id bigint generated always as identity, task text not null, ordinal integer not null, number integer not null,
    latest integer not null, success boolean not null
);
create function orchestra.audit_job_moved() returns trigger language plpgsql as $$
begin
    insert into orchestra.audit_move (task, ordinal, before, after)
    values ((select name from orchestra.task where id = new.task_id), new.ordinal, old.state, new.state);
    return null;
end $$;
create function orchestra.audit_task_moved() returns trigger language plpgsql as $$
begin
    insert into orchestra.audit_move (task, before, after) values (new.name, old.state, new.state);
    return null;
end $$;
create function orchestra.audit_accepted() returns trigger language plpgsql as $$
begin
    insert into orchestra.audit_acceptance (task, ordinal, number, latest, success)
    select t.name, j.ordinal, new.number, j.attempt, new.cause = 'exit' and new.exit_status = 0
    from orchestra.job j join orchestra.task t on t.id = j.task_id
    where j.task_id = new.task_id and j.ordinal = new.ordinal;
    return null;
end $$;
create trigger ordeal_job after update on orchestra.job for each row
    when (old.state <> new.state) execute function orchestra.audit_job_moved();
create trigger ordeal_task after update on orchestra.task for each row
    when (old.state <> new.state) execute function orchestra.audit_task_moved();
create trigger ordeal_attempt after update on orchestra.attempt for each row
    when (new.accepted and old.accepted is distinct from true) execute function orchestra.audit_accepted();
"""

_FIGURES = (
    "registered",
    "assigned",
    "testing",
    "running",
    "failed",
    "done",
    "kill",
    "killed",
    "broken",
)
_MISCOUNTS = f"""
with counted as (
    select task_id, {", ".join(f"sum({f}) as {f}" for f in _FIGURES)} from task_count group by task_id
), true_figures as (
    select task_id, job_figure(state, is_test, kill_requested, keeper_id is not null) as figure, count(*) as jobs
    from job group by 1, 2
)
select t.name, f.figure, f.listed, coalesce(j.jobs, 0)
from counted c
join task t on t.id = c.task_id
cross join lateral (values {", ".join(f"('{f}', c.{f})" for f in _FIGURES)}) as f (figure, listed)
left join true_figures j on j.task_id = c.task_id and j.figure = f.figure
where f.listed <> coalesce(j.jobs, 0)
"""


@dataclass
class Database:
    """A server in a folder of its own. `url` connects to it directly, by TCP."""

    folder: Path
    port: int = field(default_factory=free_port)
    url: str = ""
    _suspended: set[int] = field(default_factory=set)

    def start(self) -> None:
        """Start it, however it has ended before, and wait until it answers."""
        settings = {**SETTINGS, "port": str(self.port)}
        address = embedded.ensure_running(self.folder / "data", settings=settings)
        password = address.partition("//orchestra:")[2].partition("@")[0]
        self.url = f"postgresql://orchestra:{password}@127.0.0.1:{self.port}/orchestra"

    def prepare(self) -> None:
        """Create the schema and the triggers that record its changes."""
        with connect(self.url) as conn:
            migrate(conn)
            conn.execute(AUDIT)

    def through(self, port: int) -> str:
        """Return its address through a proxy."""
        return self.url.replace(f":{self.port}/", f":{port}/")

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        with connect(self.url, name="ordeal", connect_timeout=2) as conn:
            yield conn

    def miscounts(self) -> list[str]:
        """Return the counts in lists that differ from count(*), read in one statement."""
        with self.connection() as conn:
            rows = conn.execute(_MISCOUNTS).fetchall()
        return [
            f"{task}: {figure} is listed as {listed}, is {true}"
            for task, figure, listed, true in rows
        ]

    # Faults

    def pids(self) -> list[int]:
        """Return its processes, the postmaster first."""
        facts = postmaster.postmaster(postmaster.Place(self.folder / "data"))
        return processes.with_child_processes(int(facts[0])) if facts else []

    def kill(self, *, all_at_once: bool) -> None:
        """Kill the postmaster. Its children notice that sooner or later, unless they are killed as well."""
        for pid in self.pids()[: None if all_at_once else 1]:
            self._send(pid, signal.SIGKILL)

    def kill_backend(self, pick: float) -> None:
        """Kill one process of it, so that the postmaster restarts all others."""
        children = self.pids()[1:]
        if children:
            self._send(children[int(pick * len(children))], signal.SIGKILL)

    def suspend(self) -> None:
        for pid in self.pids():
            self._suspended.add(pid)
            self._send(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Continue the suspended processes, even if the postmaster has died."""
        for pid in tuple(self._suspended):  # another thread may add to it
            self._send(pid, signal.SIGCONT)
        self._suspended.clear()

    @staticmethod
    def _send(pid: int, number: signal.Signals) -> None:
        if "postgres" in " ".join(processes.command(pid)):  # a pid file can be old
            processes.send(pid, number)

    def keep(self, *, as_files: bool) -> None:
        """Save its present state: as a copy of its files, or as a dump."""
        if not as_files:
            self.start()
            (self.folder / "dump").unlink(missing_ok=True)
            dump.dump(self.url, self.folder / "dump")
            return
        self._stop_now()
        shutil.rmtree(self._kept, ignore_errors=True)
        _copy(self._files, self._kept)
        self.start()

    def bring_back(self, *, as_files: bool) -> None:
        """Replace its present state with the saved one.

        A dump is restored as by `maestro db restore`, but without the check for online pilots: the caller keeps them
        away. Files are replaced without the knowledge of Orchestra.
        """
        if not as_files:
            self.start()
            with self.connection() as conn:
                dump.restore(self.url, self.folder / "dump")
                recovery.begin(conn, "it was restored from a dump", who="ana")
            return
        self._stop_now()
        shutil.rmtree(self._files)
        _copy(self._kept, self._files)
        self.start()

    @property
    def _files(self) -> Path:
        return postmaster.Place(self.folder / "data").cluster

    @property
    def _kept(self) -> Path:
        return self.folder / "kept"

    def _stop_now(self) -> None:
        self.resume()
        embedded.stop(self.folder / "data", mode="immediate")

    def stop(self) -> None:
        self._stop_now()


def _copy(source: Path, target: Path) -> None:
    """Copy a folder, including the owners of its files."""
    subprocess.run(["cp", "-a", source, target], check=True)


def make_folder(path: Path) -> Path:
    """Create a folder that the server's account can enter."""
    path.mkdir()
    os.chmod(path, 0o711)  # noqa: PTH101
    return path
