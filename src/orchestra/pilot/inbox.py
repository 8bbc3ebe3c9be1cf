"""Calls that other threads post to the agent's thread, and the descriptor that wakes it."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress


class Wakeup:
    """A descriptor that becomes readable when another thread, or a signal handler, calls `set`."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for end in (self._reader, self._writer):
            end.setblocking(False)

    def fileno(self) -> int:
        return self._reader.fileno()

    @property
    def write_fileno(self) -> int:
        """The end to write to, for `signal.set_wakeup_fd`."""
        return self._writer.fileno()

    def set(self) -> None:
        with suppress(OSError):  # full, so it is set already; or closed
            self._writer.send(b"!")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        self._reader.close()
        self._writer.close()


class Inbox:
    """Calls from other threads that the agent runs in its own thread."""

    def __init__(self) -> None:
        self.wakeup = Wakeup()
        self._calls: deque[Callable[[], None]] = deque()

    def post(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self.wakeup.set()

    def run_calls(self) -> None:
        """Run all calls that have been posted."""
        self.wakeup.clear()
        while self._calls:
            self._calls.popleft()()
