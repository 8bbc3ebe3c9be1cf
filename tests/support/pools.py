"""Pools of a test on a real Slurm: a person, a cluster, a database, and the process that submits."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from support.maestro import Maestro
from support.ordinary import PACKAGES, SOURCE
from support.slurm import Slurm
from support.waiting import wait_until

HURRIED = Path(__file__).with_name("hurried")
SLOTS = 4
"""Jobs at a time on a node."""
STATE = "/tmp/pilots"
"""Where the pilots keep their state: each node has a /tmp of its own."""


class Allocated(NamedTuple):
    """A row of the table `allocation`."""

    engine_id: str | None
    state: str
    word: str | None
    reason: str | None
    served: bool


@dataclass
class Pools:
    """User ana on a machine where `sbatch` is, and what she sees."""

    maestro: Maestro
    slurm: Slurm
    conn: psycopg.Connection
    runner: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        self.maestro.env |= {
            **self.slurm.env,
            "MAESTRO_POOL_POLL": "1s",
            "MAESTRO_STATE_DIR": STATE,
            "MAESTRO_CONTAINER_RUNTIME": "none",
        }

    def create(self, name: str = "mesh", **options: object) -> None:
        """Create a pool whose allocations are whole nodes."""
        given = {"cpus": 4, "walltime": "10m", "idle": "2s", "min-work": "1s", "max-pilots": 4}
        given |= {key.replace("_", "-"): value for key, value in options.items()}
        words = [word for key, value in given.items() for word in (f"--{key}", str(value))]
        self.maestro("pool", "create", name, "--engine", "slurm", *words)

    def run(self, *names: str, path: str | None = None) -> subprocess.Popen[str]:
        """Start the process that submits for pools. `path`: the PATH on which it finds sbatch."""
        if path:
            self.maestro.env["PATH"] = path
        # Of this process and the pilots that it submits: with it, commands begin without what is loaded for them.
        usual = dict(self.maestro.env)
        paths = (HURRIED, SOURCE, PACKAGES)
        self.maestro.env["PYTHONPATH"] = os.pathsep.join(map(str, paths))
        with (self.maestro.folder / "run.log").open("a") as log:
            self.runner = self.maestro.start(
                "pool", "run", *(names or ("mesh",)), stdout=log, stderr=log
            )
        self.maestro.env = usual
        return self.runner

    def task(
        self, jobs: int, command: str, *options: object, name: str = "work", user: str = "ana"
    ) -> str:
        """Create a task of so many jobs without test jobs."""
        folder = self.maestro.folder / f"{name}-configs"
        folder.mkdir()
        for number in range(jobs):
            (folder / f"config.{number}.txt").write_text(f"{number}\n")
        data = self.maestro.folder / "data.txt"
        data.write_text("data\n")
        for label, path in (
            (f"user.{user}.{name}-configs", folder),
            (f"user.{user}.{name}-data", data),
        ):
            self.maestro("dataset", "create", "-n", label, "-p", path)
        self.maestro(
            "task", "create", "-t", f"user.{user}.{name}", "-c", f"user.{user}.{name}-configs",
            "-d", f"user.{user}.{name}-data", "-v", self.maestro.folder, "--test-jobs", 0,
            "--exec", f": %DATA %IN %OUT; {command}", *options,
        )  # fmt: skip
        return f"user.{user}.{name}"

    # What is there

    def allocations(self) -> list[Allocated]:
        """Return all allocations, the oldest first."""
        rows = self.conn.execute(
            "select engine_id, state::text, word, reason, first_job_at is not null from allocation "
            "order by submitted_at"
        )
        return [Allocated(*row) for row in rows]

    def live(self) -> list[Allocated]:
        """Return the allocations that have not ended."""
        return [each for each in self.allocations() if each.state != "ENDED"]

    def done(self) -> int:
        """Return how many jobs are done."""
        [count] = self.conn.execute("select count(*) from job where state = 'done'").fetchall()
        return int(count[0])

    def running(self) -> list[str]:
        """Return the node of each attempt that runs."""
        rows = self.conn.execute(
            "select n.name from attempt a join node n on n.id = a.node_id "
            "where a.started_at is not null and a.ended_at is null and a.lost_at is null"
        )
        return [name for (name,) in rows]

    def attempts(self) -> list[tuple[Any, ...]]:
        """Return all attempts: job, number, node, how it ended, and whether its outcome was accepted.

        Without those that a pilot had taken early, and gave back before they started, as one of a slow machine does.
        """
        return self.conn.execute(
            "select a.ordinal, a.number, n.name, coalesce(a.cause, case when a.lost_at is not null then 'lost' end), "
            "a.accepted from attempt a join node n on n.id = a.node_id "
            "where a.cause is distinct from 'returned' or a.started_at is not null order by a.ordinal, a.number"
        ).fetchall()

    def nodes(self) -> list[str]:
        """Return the names in the list of nodes."""
        return [each["name"] for each in self.maestro.line("node list -o json").json]

    # Waiting

    def until(self, condition: Any, timeout: float = 30) -> Any:
        """Wait for a condition; a failure, such as the end of the process that submits, says what is there."""

        def look() -> Any:
            if self.runner and self.runner.poll():
                raise RuntimeError(self.report())
            return condition()

        return wait_until(look, timeout, self.report, pause=0.25)  # squeue takes processors, too

    def serves(self, pilots: int = 1, timeout: float = 30) -> list[Allocated]:
        """Wait until so many allocations serve; return them."""

        def found() -> list[Allocated]:
            return [each for each in self.live() if each.state == "SERVING"]

        return self.until(lambda: found() if len(found()) == pilots else None, timeout)  # type: ignore[no-any-return]

    def finished(self, jobs: int, timeout: float = 60) -> None:
        """Wait until so many jobs are done."""
        self.until(lambda: self.done() == jobs, timeout)

    def gone(self, timeout: float = 40) -> None:
        """Wait until Slurm's queue and the list of nodes are empty."""
        self.until(lambda: not self.live() and not self.slurm.live(), timeout)
        assert self.nodes() == []

    def report(self) -> str:
        """Return what helps to understand a failure."""
        logs = (self.maestro.folder / "run.log", *self.maestro.home.rglob("*.log"))
        shown = [f"{path}:\n{path.read_text()[-3000:]}" for path in logs if path.exists()]
        odd = [each for each in self.attempts() if each[1] > 1 or each[3] != "exit"]
        rows = map(str, (*self.allocations(), *odd[:20]))
        return "\n".join([self.slurm.report(), *rows, *shown])
