"""Deadlines for answers: where one passes, its connection is hung up, and whoever waits on it learns that at once.

Keep-alives find a machine that is gone. They do not find a server that is stopped, or a tunnel that takes in what it is
sent and passes nothing on. libpq itself waits for an answer for ever.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import suppress
from weakref import WeakSet

_NEVER = float("inf")


class Deadline:
    """The deadline of one connection, for one answer after the other. Used by one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._identity = descriptor, _identity(descriptor)
        self._lock = threading.Lock()
        self.due = _NEVER
        self.passed = False
        _watch.add(self)

    def begin(self, seconds: float) -> None:
        """Hang up in so many seconds unless `end` is called before."""
        self.due = time.monotonic() + seconds
        _watch.mind(self.due)

    def end(self) -> None:
        """The answer is there."""
        with self._lock:
            self.due = _NEVER

    def look(self, now: float) -> None:
        """Hang up if it has passed. Another thread's."""
        with self._lock:
            if self.due <= now:
                self.due, self.passed = _NEVER, True
                self._hang_up()

    def _hang_up(self) -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as end:
            # The connection may have been closed just now, and its number given to another one.
            if _identity(end.fileno()) == self._identity:
                end.shutdown(socket.SHUT_RDWR)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


class _Watch:
    """The thread that minds every deadline of this process; it wakes when the nearest may have passed."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Begin anew: a child process has neither its parent's threads nor its connections."""
        self._deadlines: WeakSet[Deadline] = WeakSet()
        self._changed = threading.Condition()
        self._wakes_at = _NEVER
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)

    def mind(self, due: float) -> None:
        """Be awake at `due`; costs next to nothing where the thread wakes before that anyway."""
        if due >= self._wakes_at:
            return
        with self._changed:
            if self._thread is None:
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        with suppress(RuntimeError):  # no more threads for this account now: at the next request
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        with self._changed:
            while True:
                # Before the look: a deadline that begins during it then wakes this thread.
                self._wakes_at = _NEVER
                now = time.monotonic()
                for deadline in self._deadlines:
                    deadline.look(now)
                nearest = min((d.due for d in self._deadlines), default=_NEVER)
                self._wakes_at = nearest
                self._changed.wait(None if nearest == _NEVER else max(0.0, nearest - now))


_watch = _Watch()
