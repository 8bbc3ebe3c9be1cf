"""The processes of this machine, from /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestra.domain.errors import OrchestraError
from orchestra.pilot.keeper_messages import Hello
from orchestra.pilot.keeper_spool import is_alive, read_spool

_TICKS = os.sysconf("SC_CLK_TCK")


def everyone() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


def stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on; None if the process has ended or is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields


def command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")[:-1]
    except OSError:
        return []


def environment(pid: int) -> set[str]:
    try:
        return set(Path(f"/proc/{pid}/environ").read_bytes().decode("utf-8", "replace").split("\0"))
    except OSError:
        return set()


def cpu_seconds(pid: int) -> float | None:
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else None


def is_stopped(pid: int) -> bool:
    fields = stat(pid)
    return fields is not None and fields[0] == "T"


def send(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False if the process has ended."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def with_child_processes(pid: int) -> list[int]:
    """Return a process and its children."""
    children = [p for p in everyone() if (f := stat(p)) and int(f[1]) == pid]
    return [pid, *children]


def agents(program: str, folder: Path) -> list[int]:
    """Return the agents that serve a folder."""
    found = []
    for pid in everyone():
        words = command(pid)
        if program in words and str(folder) in words and stat(pid):
            found.append(pid)
    return found


def spools(folder: Path) -> Iterator[Hello]:
    """Return the spool of each living keeper below a pilot's folder."""
    for place in folder.glob("keepers/*"):
        with suppress(OrchestraError, OSError):
            if is_alive(place):
                yield read_spool(place)


def jobs(folder: Path) -> list[tuple[str, int]]:
    """Return the token and leader of each attempt that a pilot's keepers run."""
    found = []
    for hello in spools(folder):
        for started in hello.running:
            token = str(started.key.token)
            if f"ORCHESTRA_TOKEN={token}" in environment(started.pid):
                found.append((token, started.pid))
    return found
