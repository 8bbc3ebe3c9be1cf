"""Where the servers of this account listen: a file for each, which it locks as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """A server that runs.

    Args:
        url: the address of its pages on this machine.
        socket: the path of its Unix socket, if it has one.
        background: whether `up` has started it, so that `down` ends it.
        data: the folder of its embedded database; "" with a PostgreSQL server.
    """

    pid: int
    url: str
    socket: str | None = None
    background: bool = False
    data: str = ""

    def end(self) -> None:
        """Ask the server to end: it answers what it was asked, and gives streams two seconds."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)


@contextmanager
def announced(folder: Path, record: Record) -> Iterator[None]:
    """Announce a server to the other commands of this account for the length of the block."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"server-{record.pid}.json"
    beside = path.with_suffix(".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, json.dumps(asdict(record)).encode())
        os.replace(beside, path)
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(descriptor)


def running(folder: Path) -> list[Record]:
    """Return the servers that run, the oldest first. The files of servers that were killed are removed."""
    found: list[tuple[float, Record]] = []
    for path in folder.glob("server-*.json"):
        try:
            with path.open("rb") as file:
                if _is_locked(file.fileno()):
                    found.append((path.stat().st_mtime, Record(**json.load(file))))
                else:
                    path.unlink()
        except (OSError, ValueError, TypeError):
            continue  # it has just ended, or is from another version
    return [record for _, record in sorted(found, key=lambda each: each[0])]


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
