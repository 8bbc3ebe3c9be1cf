"""Nodes, data sets, tasks and real pilots for a test, in one database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Policy, Task
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.interface.local import Local
from orchestra.pilot.keeper_messages import Hello
from orchestra.pilot.keeper_spool import is_alive, read_spool
from orchestra.store.tasks import tasks as task_store
from support import pilot_process, quick_start
from support.making import make
from support.people import caller, interface
from support.registering import register
from support.waiting import wait_until


@dataclass
class Cluster:
    """What a test with pilots sets up and inspects. `folder` is also the volume."""

    conn: psycopg.Connection
    url: str
    folder: Path
    pilots: list[subprocess.Popen[str]] = field(default_factory=list)

    def node(self, name: str = "gauss", *, cpu: int = 2, gpu: int = 0) -> None:
        self.conn.execute(
            "insert into node (name, cpu_enabled, cpu_max, gpu_enabled, gpu_max) values (%s, %s, 64, %s, 64)",
            [name, cpu, gpu],
        )

    def interface(self, name: str = "ana") -> Local:
        """The interface that carries out a user's requests."""
        return interface(self.conn, name)

    def pilot(
        self,
        node: str = "gauss",
        *flags: str,
        env: dict[str, str] | None = None,
        url: str | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a pilot, with the conductor in it unless `flags` say otherwise."""
        words = [url or self.url, node, str(self.home(node)), *(flags or ("--master",))]
        stderr = options.pop("stderr", subprocess.DEVNULL)
        own = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})}
        process: subprocess.Popen[str]
        if not options and quick_start.can_run(env or {}):
            process = quick_start.Started(pilot_process.__name__, words, own, stderr=stderr)
        else:
            process = subprocess.Popen(
                [sys.executable, pilot_process.__file__, *words],
                env=own,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                text=True,
                start_new_session=True,
                **options,
            )
        self.pilots.append(process)
        return process

    def home(self, node: str = "gauss") -> Path:
        """The folder of a node's pilot."""
        return self.folder / "pilots" / node

    def log(self, node: str = "gauss") -> str:
        path = self.home(node) / "agent.log"
        return path.read_text() if path.exists() else "(no log)"

    def end(self) -> None:
        """End every pilot, keeper and job."""
        for process in self.pilots:
            if process.poll() is None:
                process.kill()
            process.communicate()
        self._end_keepers()
        for pid in self.successors():
            _kill(pid)
        self._end_keepers()

    def successors(self) -> list[int]:
        """The pilots that keepers have started."""
        return [
            pid
            for pid in _pilots_below(str(self.folder / "pilots"))
            if pid not in {process.pid for process in self.pilots}
        ]

    def keepers(self, node: str = "*") -> list[Hello]:
        """The living keepers of a node, or of all, and what they run."""
        folders = self.folder.glob(f"pilots/{node}/keepers/*")
        return [hello for folder in folders if (hello := _hello_of(folder))]

    def keeper(self, node: str = "gauss") -> Hello:
        """The one living keeper of a node, as soon as there is one."""
        (found,) = wait_until(lambda: self.keepers(node), 20, lambda: self.log(node))
        return found

    def _end_keepers(self) -> None:
        for hello in self.keepers():
            for started in hello.running:
                _kill(-started.pid)
            _kill(hello.pid)

    # Work

    def configs(self, count: int, name: str = "grid") -> str:
        """Register a data set of small files: the file of config n contains n."""
        root = self.folder / name
        root.mkdir()
        for number in range(count):
            (root / f"config.{number}.txt").write_text(f"{number}\n")
        return self.dataset(name, root)

    def dataset(self, name: str, path: Path) -> str:
        ana = caller(self.conn)
        full = f"user.ana.{name}"
        register(self.conn, ana, full, path)
        return full

    def data(self) -> str:
        path = self.folder / "data.txt"
        path.write_text("data\n")
        return self.dataset("data", path)

    def task(self, jobs: int, command: str, *, name: str = "work", **options: Any) -> Task:
        """Create a task of that many jobs; `policy` options are passed by name. There are no test jobs by default."""
        config = options.pop("config", None) or self.configs(jobs, f"{name}-configs")
        data = options.pop("data", None) or self.data()
        names = Policy.__dataclass_fields__.keys() & options.keys()
        policy = Policy(**{"test_jobs": 0, **{key: options.pop(key) for key in names}})
        new = NewTask(
            name=f"user.ana.{name}",
            command=command,
            config=config,
            data=data,
            volume=str(options.pop("volume", self.folder)),
            account=options.pop("account", "root"),
            host="test",
            queue=options.pop("queue", Queue.CPU),
            policy=policy,
            **options,
        )
        ana = caller(self.conn)
        return make(self.conn, ana, new)

    # Inspection

    def state(self, task: Task) -> TaskState:
        found = task_store.by_id(self.conn, task.id)
        assert found
        return found.state

    def wait_for(self, task: Task, state: TaskState, timeout: float = 30) -> None:
        wait_until(
            lambda: self.state(task) is state,
            timeout,
            lambda: f"{task_store.by_id(self.conn, task.id)}\n{self.attempts(task)}\n{self.log()}",
        )

    def wait_for_job(self, task: Task, job: int, state: JobState, timeout: float = 20) -> None:
        wait_until(
            lambda: self.jobs(task)[job] is state,
            timeout,
            lambda: f"{self.attempts(task)}\n{self.log()}",
        )

    def jobs(self, task: Task) -> list[JobState]:
        rows = self.conn.execute(
            "select state from job where task_id = %s order by ordinal", [task.id]
        )
        return [JobState(row[0]) for row in rows]

    def attempts(self, task: Task) -> list[tuple[Any, ...]]:
        """All attempts: job, number, cause, exit status, signal, reason."""
        rows = self.conn.execute(
            "select ordinal, number, coalesce(cause, case when lost_at is not null then 'lost' end), exit_status, "
            "signal, reason from attempt where task_id = %s order by ordinal, number",
            [task.id],
        )
        return rows.fetchall()

    def out(self, task: Task, job: int) -> Path:
        """The link at which users find a job's result."""
        return Path(task.folder) / f"job_configId_{job}"


def _hello_of(folder: Path) -> Hello | None:
    """The hello in the spool of a living keeper, once it is written; None if no keeper is alive there."""

    def said() -> tuple[Hello | None]:
        if not is_alive(folder):
            return (None,)
        try:
            return (read_spool(folder),)
        except OrchestraError as error:  # it is alive and its spool is just being written
            raise AssertionError(error) from None

    return wait_until(said)[0]


def _pilots_below(folder: str) -> list[int]:
    """The living pilots whose folder is below this one."""
    found = []
    for arguments in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = arguments.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if len(words) > 4 and words[1] == pilot_process.__file__ and words[4].startswith(folder):
            found.append(int(arguments.parent.name))
    return found


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
