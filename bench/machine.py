"""The circumstances of a measurement: the machine, the programs, and the load of other processes."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Watch:
    """Load averages, and the share of the processors that other processes used, while `watching`."""

    cores: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    began: float = field(default_factory=time.time)
    load_before: float = field(default_factory=lambda: os.getloadavg()[0])
    load_after: float = 0.0

    def __str__(self) -> str:
        day = time.strftime("%F", time.gmtime(self.began))
        return (
            f"*{self.cores} cores, {platform.system()} {platform.release().split('-')[0]}, "
            f"Python {platform.python_version()}, {day}; load average {self.load_before:.1f} before, "
            f"{self.load_after:.1f} after.*"
        )


@contextmanager
def watching() -> Iterator[Watch]:
    """Record the circumstances while something is measured."""
    watch = Watch()
    yield watch
    watch.load_after = os.getloadavg()[0]


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, without its children."""
    return _times(pid)[0]


def waited_seconds(pid: int) -> float:
    """Return the processor time of a process's ended children and their descendants."""
    return _times(pid)[1]


def _times(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, of_users, of_systems = map(int, fields[11:15])
    return (user + system) / TICKS, (of_users + of_systems) / TICKS


def tree_seconds(pid: int) -> float:
    """Return the processor time of a process and its children, ended ones included; it must have no grandchildren."""
    used = sum(_times(pid))
    for child in children_of(pid):
        with suppress(OSError):
            used += cpu_seconds(child)
    return used


def helpers_seconds(pid: int, but: int) -> float:
    """Return the processor time of a process's descendants, ended ones included, without `but` and its own."""
    used = waited_seconds(pid)
    for child in children_of(pid):
        if child != but:
            with suppress(OSError):
                used += cpu_seconds(child) + helpers_seconds(child, but)
    return used


@contextmanager
def spinning(processes: int) -> Iterator[None]:
    """Keep processors busy meanwhile, as another user's program would."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def memory(pid: int) -> tuple[int, int]:
    """Return the PSS and RSS of a process, in bytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines[1:]}
    return kilobytes["Pss"] * 1024, kilobytes["Rss"] * 1024


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == pid:
                found.append(int(entry.name))
    return found
