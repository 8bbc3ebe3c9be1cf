"""Which files I/O threads are at: so one that does not answer can be named, and a long checksum is told from it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic


@dataclass(slots=True)
class Access:
    """What one thread is at: a path, since when, and when it went on for the last time (by the monotonic clock).

    `reads` says that it takes the checksum of all of it.
    """

    task: int
    path: str
    began: float
    moved: float
    reads: bool = False


class IOActivity:
    """Written by I/O threads, each its own entry; read by the agent."""

    def __init__(self) -> None:
        self._by_thread: dict[int, Access] = {}
        self._last_read: dict[int, float] = {}

    @contextmanager
    def of(self, task: int) -> Iterator[None]:
        """What this thread touches inside is for a task."""
        me, now = threading.get_ident(), monotonic()
        self._by_thread[me] = Access(task, "", now, now)
        try:
            yield
        finally:
            del self._by_thread[me]

    def at(self, path: str) -> None:
        """This thread is about to touch a path."""
        if touch := self._by_thread.get(threading.get_ident()):
            touch.path, touch.reads = path, False
            touch.began = touch.moved = monotonic()

    def read(self, _bytes: int) -> None:
        """This thread has read some more of a file whose checksum it takes."""
        if touch := self._by_thread.get(threading.get_ident()):
            touch.reads = True
            self._last_read[touch.task] = touch.moved = monotonic()

    def now(self) -> list[Access]:
        """Give what all threads are at."""
        return [touch for touch in list(self._by_thread.values()) if touch.path]

    def last_read(self, task: int) -> float:
        """Give when a checksum for a task went on for the last time; 0 for never."""
        return self._last_read.get(task, 0.0)

    def last_moved(self, task: int) -> float:
        """Give when a thread of a task went on for the last time; 0 where there is none."""
        return max((touch.moved for touch in self.now() if touch.task == task), default=0.0)

    def stuck(self, task: int) -> str | None:
        """Give the path for which a task has waited for the longest time."""
        io_activity = [touch for touch in self.now() if touch.task == task]
        return min(io_activity, key=lambda touch: touch.moved).path if io_activity else None

    def forget(self, task: int) -> None:
        """Forget a task that is no longer known."""
        self._last_read.pop(task, None)
