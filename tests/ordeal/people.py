"""What people do during an ordeal: create, hold, kill and retry tasks, by services and sometimes by commands."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg

from orchestra.domain.errors import AlreadyExists, OrchestraError
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Policy
from orchestra.domain.states import Queue
from orchestra.domain.transitions import TaskInput
from orchestra.services.tasks import lifecycle
from ordeal.checks import GRACE
from ordeal.database import Database
from ordeal.schedule import TaskPlan
from support.making import make
from support.people import caller
from support.registering import register

JOB = Path(__file__).with_name("job.py")
# `exec` makes the job the leader, so that its exit status is reported.
COMMAND = ": %DATA %OUT; exec {python} -I -S {job} {truth} %IN"
_INPUTS = {"kill": TaskInput.KILL, "retry": TaskInput.RETRY, "retry_all": TaskInput.RETRY_ALL,
           "hold": TaskInput.HOLD, "release": TaskInput.RELEASE}  # fmt: skip


class People:
    """People who are connected to the database directly, without the proxies of the pilots."""

    def __init__(self, database: Database, root: Path, volume: Path, truth: Path) -> None:
        self.database, self.root, self.volume, self.truth = database, root, volume, truth

    def submit(self, task: TaskPlan) -> None:
        """Create a task. May be repeated, because a connection can be lost after the commit."""
        folder = self._configs(task)
        data = self.root / "data.txt"
        if not data.exists():
            data.write_text("data\n")
        new = NewTask(
            name=f"user.ana.{task.name}",
            command=COMMAND.format(python=sys.executable, job=JOB, truth=self.truth),
            config=f"user.ana.{task.name}-configs",
            data="user.ana.data",
            volume=str(self.volume),
            account=pwd.getpwuid(os.geteuid()).pw_name,
            host="ordeal",
            queue=Queue(task.queue),
            resources=task.resources,
            reuse=True,
            policy=Policy(
                test_jobs=task.test_jobs,
                retries=task.retries,
                timeout=task.timeout,
                resume=task.resume,
                grace=GRACE,
            ),
        )
        with self.database.connection() as conn:
            me = caller(conn)
            for name, path in (("user.ana.data", data), (new.config, folder)):
                try:
                    register(conn, me, name, path)
                except AlreadyExists:
                    pass
            try:
                make(conn, me, new)
            except AlreadyExists:
                pass

    def _configs(self, task: TaskPlan) -> Path:
        folder = self.root / "configs" / task.name
        if not folder.exists():
            folder.mkdir(parents=True)
            for number, job in enumerate(task.jobs):
                plan = {"name": f"{task.name}-{number}", **asdict(job)}
                (folder / f"config.{number:04}.json").write_text(json.dumps(plan))
        return folder

    def wish(self, wish: str, pick: float, job: float, typed: bool) -> str:
        """Carry out a request and return its result."""
        with self.database.connection() as conn:
            chosen = self._choose(conn, wish, pick)
            if chosen is None:
                return "no task"
            task, jobs = chosen
            index = int(job * jobs)
            if typed:
                return self._type(wish, task, index)
            try:
                return f"{task} {self._apply(conn, wish, task, index)}"
            except OrchestraError as error:
                return f"{task} {error}"

    @staticmethod
    def _choose(conn: psycopg.Connection, wish: str, pick: float) -> tuple[int, int] | None:
        """Choose a task, mostly one for which the request makes sense."""
        fitting = {
            "hold": "ended_at is null and held_at is null",
            "release": "held_at is not null",
            "retry": "ended_at is not null",
            "retry_all": "ended_at is not null",
        }.get(wish, "ended_at is null")
        rows: list[Any] = conn.execute(
            f"select id, jobs from task order by ({fitting}) desc, id desc limit 4"
        ).fetchall()
        return rows[int(pick * len(rows))] if rows else None

    @staticmethod
    def _apply(conn: psycopg.Connection, wish: str, task: int, index: int) -> object:
        if wish == "job_kill":
            return lifecycle.kill_jobs(conn, task, [index], by="ana")
        if wish == "job_retry":
            return lifecycle.retry_jobs(conn, task, [index], by="ana")
        why = "as it pleases" if wish == "hold" else None
        return lifecycle.apply(conn, task, _INPUTS[wish], by="ana", why=why).state

    def _type(self, wish: str, task: int, index: int) -> str:
        noun, _, verb = wish.partition("_")
        words = ["job", verb, f"{task}/{index}"] if noun == "job" else ["task", noun, str(task)]
        words += ["--all"] if wish == "retry_all" else []
        words += ["--yes"] if wish.startswith("retry") else []
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "orchestra.cli.main", *words],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "USER": "ana",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "MAESTRO_POSTGRES": self.database.url,
                "MAESTRO_USERNAME": "ana",
            },
        )
        said = (done.stderr or done.stdout).strip().partition("\n")[0]
        return f"maestro {' '.join(words)} -> {done.returncode}: {said}"

    def release_all(self) -> int:
        """Release held tasks and enable all nodes; return the number of held tasks."""
        with self.database.connection() as conn:
            conn.execute(
                "update node set drained_at = null, drained_by = null, drain_reason = null"
            )
            held = conn.execute("select id from task where held_at is not null").fetchall()
            for (task,) in held:
                lifecycle.apply(conn, task, TaskInput.RELEASE, by="ana")
        return len(held)
