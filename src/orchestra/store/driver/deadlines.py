"""Deadlines for answers. When one passes, its connection is shut down, which wakes the waiting thread.

Keep-alives detect a machine that is gone. They do not detect a stopped server, or a tunnel that accepts data and
forwards none. libpq itself waits for an answer without limit.
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
    """The deadline of one connection, for one answer at a time. Used by one thread at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._identity = descriptor, _identity(descriptor)
        self._lock = threading.Lock()
        self.due = _NEVER
        self.passed = False
        _watch.add(self)

    def begin(self, seconds: float) -> None:
        """Shut the connection down after so many seconds, unless `end` is called before."""
        self.due = time.monotonic() + seconds
        _watch.ensure_awake(self.due)

    def end(self) -> None:
        """The answer has arrived."""
        with self._lock:
            self.due = _NEVER

    def shut_down_if_due(self, now: float) -> None:
        """Shut the connection down if the deadline has passed. Called by the watching thread."""
        with self._lock:
            if self.due <= now:
                self.due, self.passed = _NEVER, True
                self._shut_down()

    def _shut_down(self) -> None:
        with suppress(OSError), socket.socket(fileno=os.dup(self._descriptor)) as end:
            # The connection may have been closed meanwhile, and its descriptor reused.
            if _identity(end.fileno()) == self._identity:
                end.shutdown(socket.SHUT_RDWR)


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


class _Watch:
    """The thread that watches every deadline of this process. It wakes when the nearest one may have passed."""

    def __init__(self) -> None:
        self._reset()
        os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        """Start over: a child process has neither its parent's threads nor its connections."""
        self._deadlines: WeakSet[Deadline] = WeakSet()
        self._changed = threading.Condition()
        self._wakes_at = _NEVER
        self._thread: threading.Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._changed:
            self._deadlines.add(deadline)

    def ensure_awake(self, due: float) -> None:
        """Make sure that the thread is awake at `due`. Cheap if it wakes before that anyway."""
        if due >= self._wakes_at:
            return
        with self._changed:
            if self._thread is None:
                self._start()
            self._changed.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
        with suppress(
            RuntimeError
        ):  # no thread available for this account now; the next request tries again
            thread.start()
            self._thread = thread

    def _run(self) -> None:
        with self._changed:
            while True:
                # Before the check, so that a deadline that begins during it wakes this thread.
                self._wakes_at = _NEVER
                now = time.monotonic()
                for deadline in self._deadlines:
                    deadline.shut_down_if_due(now)
                nearest = min((d.due for d in self._deadlines), default=_NEVER)
                self._wakes_at = nearest
                self._changed.wait(None if nearest == _NEVER else max(0.0, nearest - now))


_watch = _Watch()
