"""A real Slurm of four nodes of four CPUs on this machine, and what it did."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

NODES, CPUS = 4, 4
SLOTS = NODES * CPUS
PROGRAM = Path(__file__).parents[1] / "tools" / "slurm-cluster"
SETTINGS = {
    "MinJobAge": "3600",  # squeue shows jobs that have ended until then
    "SchedulerParameters": "batch_sched_delay=3",  # Slurm's own default, as all other parameters
}


@dataclass(frozen=True, slots=True)
class Held:
    """What one job of Slurm held: seconds since the epoch, to the second."""

    began: float
    ended: float
    cpus: int

    def slot_seconds(self, since: float, until: float) -> float:
        """Return the slot seconds between two moments."""
        return max(0.0, min(self.ended, until) - max(self.began, since)) * self.cpus


@dataclass(frozen=True, slots=True)
class Slurm:
    """A running cluster."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to use it; its `sbatch` counts the calls."""
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {"PATH": path, "SLURM_CONF": str(self.folder / "slurm" / "etc" / "slurm.conf")}

    def run(self, *words: str, timeout: float = 600) -> str:
        """Run one of Slurm's commands, and return its output."""
        return subprocess.run(
            words,
            env={**os.environ, **self.environment},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=timeout,
        ).stdout

    def calls(self) -> int:
        """Return how often `sbatch` has submitted something."""
        counted = self.folder / "sbatch-calls"
        return len(counted.read_text().splitlines()) if counted.exists() else 0

    def held(self) -> list[Held]:
        """Return what the jobs held that have started; of array elements each one."""
        found = []
        for line in self.run("squeue", "-h", "-r", "-t", "all", "-o", "%C %S %e").splitlines():
            cpus, began, ended = line.split()
            if began != "N/A":
                found.append(Held(_seconds(began), _seconds(ended), int(cpus)))
        return found

    def wait_until_empty(self, patience: float = 900) -> None:
        """Wait until no job waits or runs.

        Raises:
            TimeoutError: some still did after so many seconds.
        """
        deadline = time.monotonic() + patience
        while left := self.run("squeue", "-h"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"jobs are left in Slurm:\n{left}")
            time.sleep(1)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def missing() -> str | None:
    """Return why no Slurm can be started here; None if one can."""
    if os.geteuid() != 0:
        return "only root can start a Slurm with nodes of its own"
    return (
        None
        if shutil.which("slurmctld") and shutil.which("slurmd")
        else "Slurm is not installed (make slurm)"
    )


@contextmanager
def slurm(folder: Path, settings: Sequence[str] = ()) -> Iterator[Slurm]:
    """Start a cluster whose nodes see `folder`, and stop it afterwards, also where this process is killed."""
    wanted = [f"{key}={value}" for key, value in SETTINGS.items()] + list(settings)
    options = [word for each in wanted for word in ("--set", each)]
    words = ["run", str(folder / "slurm"), "--nodes", str(NODES), "--share", str(folder), *options]
    process = subprocess.Popen(
        [PROGRAM, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    try:
        if "ready" not in process.stdout.readline():
            raise OSError(f"{PROGRAM} did not start a cluster")
        _count_calls(folder)
        yield Slurm(folder)
    finally:
        process.communicate()  # closes its standard input, at which it stops the cluster


def _count_calls(folder: Path) -> None:
    program = folder / "bin" / "sbatch"
    program.parent.mkdir()
    counted = f'case " $* " in *" --test-only "*) ;; *) echo "$$" >>{folder}/sbatch-calls ;; esac'
    program.write_text(f'#!/bin/sh\n{counted}\nexec {shutil.which("sbatch")} "$@"\n')
    program.chmod(0o755)
