"""The processes of an attempt whose keeper has died: nobody waits for them any more, so they are ended."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from orchestra.pilot.keeper import TOKEN_VARIABLE
from orchestra.pilot.link import Started

LOOK_AGAIN = 0.1


def end(started: Started, *, grace: float) -> None:
    """End every process of an attempt: TERM, after `grace` seconds KILL. Returns when none is left."""
    deadline = time.monotonic() + grace
    _signal_all(started, signal.SIGTERM)
    while any(True for _ in processes(started)):
        if time.monotonic() >= deadline:
            _signal_all(started, signal.SIGKILL)
        time.sleep(LOOK_AGAIN)
    if started.cgroup:
        with suppress(OSError):
            Path(started.cgroup).rmdir()


def processes(started: Started) -> Iterator[int]:
    """Give the living processes that belong to an attempt: by its token in their environment, or by its session."""
    mark = f"{TOKEN_VARIABLE}={started.key.token}".encode()
    leader_is_ours = _start_time(started.pid) in (started.start_time, None)
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            fields = _stat(int(name))
            if fields[0] in (b"Z", b"X"):
                continue
            environment = Path(f"/proc/{name}/environ").read_bytes().split(b"\0")
            if mark in environment or (leader_is_ours and int(fields[3]) == started.pid):
                yield int(name)


def _signal_all(started: Started, number: signal.Signals) -> None:
    for pid in processes(started):
        with suppress(OSError):
            os.kill(pid, number)


def _start_time(pid: int) -> int | None:
    try:
        return int(_stat(pid)[19])
    except OSError:
        return None


def _stat(pid: int) -> list[bytes]:
    """/proc/PID/stat from the state on: state, parent, group, session, ...; the 20th is the start time."""
    text = Path(f"/proc/{pid}/stat").read_bytes()
    return text[text.rindex(b")") + 2 :].split()
