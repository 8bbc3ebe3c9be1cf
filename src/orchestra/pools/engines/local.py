"""This machine as an engine: an allocation is a process. For tests, and for trying out pools where Slurm is not.

Nothing waits, and nothing shares out the machine. The processes go on when the one that started them ends, and are
found again by a variable in their environment.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestra.domain.models.pools import EngineReport, EngineSays, Phase, Refusal, Submission
from orchestra.pools.engines import environments

ID, NAME, END, CPUS = (f"ORCHESTRA_LOCAL_{each}" for each in ("ID", "NAME", "END", "CPUS"))
"""Variables of an allocation: its id here, its name, its end in seconds since 1970, its processors."""
MEMORY = "ORCHESTRA_LOCAL_MEMORY"
"""Its memory in bytes."""
_FOREVER = 10 * 365 * 86400.0


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    id: str
    name: str
    ends_at: datetime | None


class LocalEngine:
    """Processes of this account on this machine."""

    kills_all = False
    """A process may leave the session that it was started in."""
    kill_wait = None

    def __init__(self, environ: Mapping[str, str], proc: Path = Path("/proc")) -> None:
        self._environ = environments.for_pilots(environ)
        self._proc = proc

    def submit(self, asked: Submission) -> str | Refusal:
        """Start a process that ends with its walltime; see `Engine`."""
        if wrong := self.check(asked):
            return wrong
        words = _command(asked)
        try:
            with open(asked.log, "ab") as log:  # noqa: PTH123
                child = subprocess.Popen(
                    words,
                    env={**self._environ, **_variables(asked)},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
        except OSError as error:
            return Refusal(f"{error.filename or words[0]}: {error.strerror}")
        # Reaps it, as long as this process is there.
        threading.Thread(target=child.wait, daemon=True, name=f"allocation {child.pid}").start()
        return _id(asked)

    def check(self, asked: Submission) -> Refusal | None:
        """Return what this machine cannot be asked for; see `Engine`."""
        if asked.spec.nodes > 1:
            return Refusal("This machine is one node", is_fatal=True)
        return None

    def status(self, ids: Collection[str], names: Collection[str] = ()) -> EngineSays:
        """Return which processes run; the others that have an id are over. See `Engine`."""
        running = {each.id: each for each in self._processes()}
        over = {
            each: EngineReport(each, "", Phase.OVER, "ENDED") for each in ids if each not in running
        }
        return over | {
            each.id: EngineReport(
                each.id,
                each.name,
                Phase.RUNNING,
                "RUNNING",
                ends_at=each.ends_at,
                hosts=(socket.gethostname(),),
            )
            for each in running.values()
            if each.id in ids or each.name in names
        }

    def cancel(self, ids: Collection[str], *, pending_only: bool) -> None:
        """Ask processes to end; see `Engine`. None waits, so `pending_only` spares all."""
        if pending_only:
            return
        for each in self._processes():
            if each.id in ids:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGTERM)

    def _processes(self) -> Iterator[_Process]:
        for folder in self._proc.iterdir():
            if folder.name.isdecimal() and (found := _leader(folder)):
                yield found


def _leader(folder: Path) -> _Process | None:
    """Return the allocation whose first process this is; its children have its variables, too."""
    pid = int(folder.name)
    try:
        entries = (folder / "environ").read_bytes().split(b"\0")
        if os.getsid(pid) != pid or not any(entry.startswith(ID.encode()) for entry in entries):
            return None
    except OSError:
        return None
    found = dict(os.fsdecode(entry).partition("=")[::2] for entry in entries)
    end = found.get(END)
    ends_at = datetime.fromtimestamp(float(end), UTC) if end else None
    return _Process(pid, found[ID], found.get(NAME, ""), ends_at)


def _id(asked: Submission) -> str:
    """Return an id that no other has, unlike the number of a process."""
    return asked.id.hex[:12]


def _command(asked: Submission) -> list[str]:
    """Return the command: `timeout` ends it before its end by SIGTERM, at its end by SIGKILL, and passes SIGTERM on."""
    if not asked.walltime:
        return ["timeout", f"{_FOREVER:.0f}", *asked.command]
    ending = min(asked.ending, asked.walltime / 2)
    return [
        "timeout",
        f"--kill-after={ending:.3f}",
        f"{asked.walltime - ending:.3f}",
        *asked.command,
    ]


def _variables(asked: Submission) -> dict[str, str]:
    variables = {ID: _id(asked), NAME: asked.name, CPUS: str(asked.spec.cpus)}
    if asked.walltime:
        variables[END] = f"{time.time() + asked.walltime:.3f}"
    if asked.spec.memory_bytes:
        variables[MEMORY] = str(asked.spec.memory_bytes)
    return variables
