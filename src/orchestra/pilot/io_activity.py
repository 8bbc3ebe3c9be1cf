"""Which files I/O threads access at the moment: to name one that does not answer, and to recognize a long checksum."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class Access:
    """A thread's access to a path. Times are by the monotonic clock.

    Args:
        began: when it began.
        progress_at: when it last made progress.
        is_checksum: the thread reads the whole file for its checksum.
    """

    task: int
    path: str
    began: float
    progress_at: float
    is_checksum: bool = False


class IOActivity:
    """The present access of each I/O thread. A thread writes its own; the agent reads all."""

    def __init__(self) -> None:
        self._by_thread: dict[int, Access] = {}
        self._last_read: dict[int, float] = {}

    @contextmanager
    def of(self, task: int) -> Iterator[None]:
        """Attribute this thread's accesses to a task."""
        thread, now = threading.get_ident(), monotonic()
        self._by_thread[thread] = Access(task, "", now, now)
        try:
            yield
        finally:
            del self._by_thread[thread]

    def access(self, path: str) -> None:
        """Note that this thread is about to access a path."""
        if access := self._by_thread.get(threading.get_ident()):
            access.path, access.is_checksum = path, False
            access.began = access.progress_at = monotonic()

    def read(self, _bytes: int) -> None:
        """Note that this thread has read another part of a file for its checksum."""
        if access := self._by_thread.get(threading.get_ident()):
            access.is_checksum = True
            self._last_read[access.task] = access.progress_at = monotonic()

    def now(self) -> list[Access]:
        """Return the present accesses."""
        return [access for access in list(self._by_thread.values()) if access.path]

    def last_read(self, task: int) -> float:
        """When a checksum for a task last made progress; 0 for never."""
        return self._last_read.get(task, 0.0)

    def last_progress(self, task: int) -> float:
        """When a thread of a task last made progress; 0 if there is none."""
        times = (access.progress_at for access in self.now() if access.task == task)
        return max(times, default=0.0)

    def stuck(self, task: int) -> str | None:
        """Return the path for which a task has waited longest."""
        accesses = [access for access in self.now() if access.task == task]
        return min(accesses, key=lambda access: access.progress_at).path if accesses else None

    def forget(self, task: int) -> None:
        """Forget a task that is no longer known."""
        self._last_read.pop(task, None)
