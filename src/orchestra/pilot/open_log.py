"""A job's log as it was opened for it, so that its output can be read even if the file is renamed or removed."""

from __future__ import annotations

import os
import resource
import stat
from pathlib import Path

from orchestra.pilot.keeper_messages import Started
from orchestra.pilot.orphan_reaper import start_time

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class OpenLog:
    """A descriptor for reading. The last owner closes it, in an I/O thread if possible."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def copy(self) -> OpenLog | None:
        """Return a duplicate; None if no more descriptors can be opened."""
        try:
            return OpenLog(os.dup(self.descriptor))
        except OSError:
            return None

    def is_at(self, path: str) -> bool:
        """Whether a path leads to this same file."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(path))  # noqa: PTH116 - for each job
        except OSError:
            return False

    def close(self) -> None:
        """Close the descriptor. May be repeated."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


def of_descriptor(descriptor: int) -> OpenLog | None:
    """Open the file of a descriptor again, for reading. Runs in an I/O thread, because the file may be on a volume."""
    return _open(f"/proc/self/fd/{descriptor}")


def of_process(started: Started) -> OpenLog | None:
    """Open the log of an attempt that an earlier agent started, as its first process has it open.

    Returns None if that process has ended, or writes elsewhere by now. Runs in an I/O thread.
    """
    where = f"/proc/{started.pid}/fd"
    try:
        out, err = Path(f"{where}/1").stat(), Path(f"{where}/2").stat()
    except OSError:
        return None
    if not stat.S_ISREG(out.st_mode) or not os.path.samestat(out, err):
        return None
    log = _open(f"{where}/1")
    return log if start_time(started.pid) == started.start_time else None


def _open(path: str) -> OpenLog | None:
    try:
        log = OpenLog(os.open(path, _READ))
    except OSError:
        return None
    # Half of the descriptors are reserved for the agent's other work, such as the database connection.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return log if limit == resource.RLIM_INFINITY or log.descriptor < limit // 2 else None
