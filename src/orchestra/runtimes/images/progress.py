"""Measures from outside whether a program that fetches an image makes progress."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestra.domain import human

_READ_AT_LEAST = 4096
_CPU_AT_LEAST = 1.0
"""Bytes read and seconds of CPU time that are progress; a program that only waits stays below both."""
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")


class Progress:
    """The work of the processes of a session: bytes read, CPU time, and the size of their folder.

    The client of a service reads the progress of its service. Written bytes do not count: a program may send a request
    again and again without an answer.
    """

    def __init__(self, session: int, folder: Path | None) -> None:
        self._session, self._folder = session, folder
        self._seen = (0, 0.0, 0)

    def has_moved(self) -> bool:
        """Whether there was progress since this last returned True."""
        now = (*_work_of(self._session), size_of(self._folder) if self._folder else 0)
        read, cpu, size = (new - old for new, old in zip(now, self._seen, strict=True))
        # The bytes of a process are lost when it ends: a smaller sum is progress as well.
        moved = read >= _READ_AT_LEAST or cpu >= _CPU_AT_LEAST or size != 0 or read < 0
        if moved:
            self._seen = now
        return moved

    @property
    def words(self) -> str:
        """The size of the folder so far, for people; empty if it is unknown."""
        size = self._seen[2]
        return f"{human.size(size)} so far, " if size else ""


def _work_of(session: int) -> tuple[int, float]:
    """Return the bytes that the processes of a session have read, and their CPU seconds."""
    read, ticks = 0, 0
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError, ValueError, IndexError):
            stat = Path(f"/proc/{name}/stat").read_bytes()
            fields = stat[stat.rindex(b")") + 2 :].split()
            if int(fields[3]) == session:
                ticks += sum(map(int, fields[11:15]))  # with those of children that it waited for
                first = Path(f"/proc/{name}/io").read_bytes().split(b"\n", 1)[0]
                read += int(first.split()[1])
    return read, ticks * _TICK


def size_of(folder: Path) -> int:
    """Return the bytes of disk space that a folder takes."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512  # noqa: PTH118
    return total
