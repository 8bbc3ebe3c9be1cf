"""Waiting for notifications of the database, or for another thread."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from contextlib import suppress

import psycopg

NOTICE_STOP_WITHIN = 0.5
"""Seconds: what asks a process to stop wakes nothing."""


class Alarm:
    """Wakes the thread that waits, from any other one."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def wake(self) -> None:
        """End the present wait, or the next one."""
        with suppress(OSError):
            os.write(self._writer, b"w")

    def close(self) -> None:
        reader, writer, self._writer = (
            self._reader,
            self._writer,
            -1,
        )  # a thread may still call `wake`
        os.close(reader)
        os.close(writer)

    def wait(
        self, conn: psycopg.Connection, seconds: float, is_stopped: Callable[[], bool]
    ) -> bool:
        """Sleep for at most so many seconds; return whether another process has notified this one."""
        deadline = time.monotonic() + seconds
        while not is_stopped():
            heard = [n for n in conn.notifies(timeout=0) if n.pid != conn.info.backend_pid]
            if heard:
                return True
            if (left := deadline - time.monotonic()) <= 0:
                return False
            ready, _, _ = select.select(
                [conn.fileno(), self._reader], [], [], min(left, NOTICE_STOP_WITHIN)
            )
            if self._reader in ready:
                with suppress(OSError):
                    os.read(self._reader, 4096)
                return False
        return False
