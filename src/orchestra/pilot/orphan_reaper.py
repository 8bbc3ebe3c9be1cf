"""Ends the processes of attempts whose keeper has died, because no process waits for them any more."""

from __future__ import annotations

import os
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

from orchestra.pilot.keeper import TOKEN_VARIABLE, Mounts, with_descendants
from orchestra.pilot.keeper_messages import Started

CHECK_EVERY = 0.1
_OUTPUTS = ("fd/1", "fd/2")
FORKING_SECONDS = 0.25
"""Seconds for which to search for processes that fork and exit quickly."""


def end(started: Started, *, grace: float, log: Path | None = None) -> None:
    """End every process of an attempt: TERM, after `grace` seconds KILL. Returns when none is left.

    Args:
        log: the attempt's log. Only the attempt's processes have it as output.
    """
    deadline = time.monotonic() + grace
    seen = _signal_all(started, log, {}, signal.SIGTERM)
    while True:
        killing = time.monotonic() >= deadline
        alive = processes(started, log, seen)
        if not alive and not _one_forks(started, log, kill=killing):
            break
        seen |= _signal_all(started, log, alive, signal.SIGKILL) if alive and killing else alive
        time.sleep(CHECK_EVERY)
    if started.cgroup:
        with suppress(OSError):
            Path(started.cgroup).rmdir()


def processes(
    started: Started, log: Path | None = None, seen: Mapping[int, int] = MappingProxyType({})
) -> dict[int, int]:
    """Return the living processes of an attempt, each with its start time.

    They have its token in their environment, its session or cgroup, or write to its log. Their descendants belong to
    it, and so do the processes `seen` before.
    """
    found: dict[int, list[bytes]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            fields = _stat(int(name))
            if fields[0] not in (b"Z", b"X"):
                found[int(name)] = fields
    children = defaultdict(list)
    for pid, fields in found.items():
        children[int(fields[1])].append(pid)
    marks = _Marks(started, log)
    roots = [
        pid
        for pid, fields in found.items()
        if seen.get(pid) == int(fields[19]) or marks.owns(pid, fields)
    ]
    return {pid: int(found[pid][19]) for pid in with_descendants(roots, children)}


def _one_forks(started: Started, log: Path | None, *, kill: bool) -> bool:
    """Whether a process is left that forks and exits too quickly for a scan of all processes to find it.

    A process that loses its parent becomes a child of one of a few processes, which can be checked many times.
    """
    marks = _Marks(started, log)
    parents = [1, *_ancestors()]
    checked: set[int] = set()
    until, found = time.monotonic() + FORKING_SECONDS, False
    while time.monotonic() < until:
        there = {child for parent in parents for child in _children(parent)}
        for pid in sorted(there - checked, reverse=True):  # the youngest first
            checked.add(pid)
            with suppress(OSError):
                if marks.owns(pid, _stat(pid)):
                    found = True
                    if not kill:
                        return True
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)
    return found


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            pid = int(_stat(pid)[1])
        except OSError:
            return


def _children(pid: int) -> Iterator[int]:
    """Empty if the kernel does not list children (CONFIG_PROC_CHILDREN), or the process has ended."""
    with suppress(OSError):
        yield from map(int, Path(f"/proc/{pid}/task/{pid}/children").read_bytes().split())


class _Marks:
    """The marks by which a process belongs to an attempt."""

    def __init__(self, started: Started, log: Path | None) -> None:
        self._mark = f"{TOKEN_VARIABLE}={started.key.token}".encode()
        self._session = started.pid
        self._leader_is_ours = start_time(started.pid) in (started.start_time, None)
        self._mounts = Mounts()
        self._log = self._mounts.locate(os.path.realpath(log)) if log else None
        self._cgroup = frozenset[int]()
        if started.cgroup:
            with suppress(OSError, ValueError):
                members = Path(started.cgroup, "cgroup.procs").read_text().split()
                self._cgroup = frozenset(map(int, members))

    def owns(self, pid: int, fields: list[bytes]) -> bool:
        if pid in self._cgroup or (self._leader_is_ours and int(fields[3]) == self._session):
            return True
        with suppress(OSError):
            if self._mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                return True
        return self._log is not None and self._log in self._mounts.locations_of(pid, _OUTPUTS)


def _signal_all(
    started: Started, log: Path | None, seen: Mapping[int, int], number: signal.Signals
) -> dict[int, int]:
    """Send a signal to all processes; return those that were alive before."""
    alive = processes(started, log, seen)
    for pid in alive:
        with suppress(OSError):
            os.kill(pid, number)
    return alive


def start_time(pid: int) -> int | None:
    """Return when a process was started, by the kernel's clock; None if there is no such process."""
    try:
        return int(_stat(pid)[19])
    except OSError:
        return None


def _stat(pid: int) -> list[bytes]:
    """Fields of /proc/PID/stat from the state on: state, parent, group, session, ...; the 20th is the start time."""
    text = Path(f"/proc/{pid}/stat").read_bytes()
    return text[text.rindex(b")") + 2 :].split()
