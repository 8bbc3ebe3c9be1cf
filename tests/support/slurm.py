"""A real Slurm for a test: tools/slurm-cluster, and what goes wrong with one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from support.needs import need
from support.processes import command_lines
from support.waiting import wait_until

TOOL = Path(__file__).parents[2] / "tools" / "slurm-cluster"
OVER = ("COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED")


class Job(NamedTuple):
    """What `squeue` says of a job."""

    id: str
    name: str
    state: str
    reason: str
    nodes: str
    end: str


@dataclass(frozen=True, slots=True)
class Slurm:
    """A running cluster, with nodes n1, n2, ... of four CPUs each.

    `folder` has the same path on this machine and on all nodes; so has `shared`, with what is below it.
    """

    folder: Path
    shared: Path

    @property
    def env(self) -> Mapping[str, str]:
        """The variables with which Slurm's commands find this cluster."""
        return {"SLURM_CONF": str(self.folder / "etc" / "slurm.conf")}

    def __call__(self, *words: object, **options: Any) -> str:
        """Run one of Slurm's commands; return its output."""
        done: subprocess.CompletedProcess[str] = subprocess.run(
            list(map(str, words)),
            env={**os.environ, **self.env},
            check=options.pop("check", True),
            cwd=self.shared,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            timeout=options.pop("timeout", 30),
            **options,
        )
        return done.stdout.strip()

    def sbatch(self, script: str, *words: object) -> str:
        """Submit lines of shell; return the job's id."""
        return self("sbatch", "--parsable", "--output=/dev/null", *words, f"--wrap={script}")

    def jobs(self, **options: Any) -> dict[str, Job]:
        """Return all jobs that Slurm still knows, by their ids."""
        lines = self("squeue", "-h", "-t", "all", "-o", "%i|%j|%T|%r|%N|%e", **options).splitlines()
        jobs = [Job(*line.split("|")) for line in lines]
        return {job.id: job for job in jobs}

    def live(self, **options: Any) -> list[Job]:
        """Return the jobs that are not over, by their age; those that are completing are not over."""
        found = [job for job in self.jobs(**options).values() if job.state not in OVER]
        return sorted(found, key=lambda job: int(job.id))

    def wait_for(self, job: str, *states: str, timeout: float = 30) -> Job:
        """Wait until a job has one of these states."""
        return wait_until(
            lambda: [each for each in [self.jobs()[job]] if each.state in states],
            timeout,
            self.report,
            pause=0.1,
        )[0]

    def report(self) -> str:
        """Return what helps to understand a failure."""
        queue = self("squeue", "-t", "all", "-o", "%i %j %T %r %N %e", check=False)
        log = (self.folder / "log" / "slurmctld.log").read_text().splitlines()
        told = [line for line in log if " JobId=" in line or "node" in line.lower()]
        return "\n".join(["", queue, self("sinfo", "-N", check=False), *told[-20:]])

    # Nodes

    def enter(self, node: str, *words: object) -> str:
        """Run a command on a node; return its output."""
        return self(TOOL, "enter", self.folder, node, *words)

    def processes(self, node: str) -> dict[int, str]:
        """Return the command lines of a node's processes, its own two apart, by their ids on this machine."""
        own = _namespace(self._first(node))
        return {
            pid: line
            for pid, line in command_lines().items()
            if _namespace(pid) == own
            and not line.startswith(("bash ", "sleep infinity", "slurmd "))
        }

    def kill_slurmd(self, node: str) -> None:
        """Kill a node's slurmd; its jobs go on."""
        self.enter(node, "pkill", "-KILL", "-x", "slurmd")

    def start_slurmd(self, node: str) -> None:
        """Start a node's slurmd again."""
        self.enter(node, "slurmd", "-N", node)

    def power_off(self, node: str) -> None:
        """End all that runs on a node."""
        os.kill(int((self.folder / "run" / node).read_text()), signal.SIGKILL)

    def drain(self, node: str) -> None:
        """Let no more jobs start on a node."""
        self("scontrol", "update", f"NodeName={node}", "State=DRAIN", "Reason=test")

    def _first(self, node: str) -> int:
        holder = (self.folder / "run" / node).read_text().strip()
        return int(Path(f"/proc/{holder}/task/{holder}/children").read_text().split()[0])

    # The controller

    @property
    def controller(self) -> int:
        """The process id of slurmctld."""
        return int((self.folder / "run" / "slurmctld.pid").read_text())

    @property
    def has_controller(self) -> bool:
        """Whether slurmctld is there; it may hang."""
        try:
            return _runs(self.controller)
        except (OSError, ValueError):
            return False

    def stop_controller(self) -> None:
        """End slurmctld, which keeps its state for the next one; jobs go on."""
        pid = self.controller
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not _runs(pid), 20, pause=0.05)

    def start_controller(self) -> None:
        """Start slurmctld again, with the state that the last one kept."""
        self("slurmctld")
        wait_until(
            lambda: "UP" in self("scontrol", "ping", check=False), 20, self.report, pause=0.1
        )

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let slurmctld hang meanwhile: its port is open, and nothing answers."""
        pid = self.controller
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


def _namespace(pid: int) -> str | None:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return None


def _runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@contextmanager
def started(
    folder: Path,
    shared: Path,
    settings: Sequence[str] = (),
    proctrack: str | None = None,
    nodes: int = 4,
    also: Sequence[Path] = (),
) -> Iterator[Slurm]:
    """A cluster in a new folder below `shared`, whose files its nodes see. It ends with this process.

    Args:
        settings: lines of slurm.conf.
        proctrack: cgroup or linuxproc; None for cgroup where it can be used.
        also: further folders that the nodes see.
    """
    need("slurm")
    words = [str(TOOL), "run", str(folder), "--nodes", str(nodes), "--share", str(shared)]
    words += [word for each in also for word in ("--share", str(each))]
    words += [word for line in settings for word in ("--set", line)]
    words += ["--proctrack", proctrack] if proctrack else []
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        try:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
            yield Slurm(folder, shared)
        finally:
            process.stdin.close()
            process.wait()
