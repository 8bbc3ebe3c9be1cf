"""A request for an image, which can be cancelled, and the error when it cannot be fulfilled."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress

from orchestra.domain.errors import OrchestraError


class ImageError(OrchestraError):
    """An image cannot be prepared."""

    code = "image_error"


class ImageRequest:
    """A request for an image. Any thread can cancel it at any time.

    Args:
        say: called every few seconds with the progress in a few words.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.say = say
        self._cancelled = threading.Event()
        self._why = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def cancel(self, why: str) -> None:
        """End the work on it at once."""
        with self._lock:
            self._why = self._why or why
            self._cancelled.set()
            if self._process:
                kill(self._process)

    def check(self) -> None:
        """Raise ImageError if it is cancelled."""
        if self._cancelled.is_set():
            raise ImageError(self._why)

    def wait(self, seconds: float) -> None:
        """Wait; raise ImageError as soon as it is cancelled."""
        self._cancelled.wait(seconds)
        self.check()

    def watch(self, process: subprocess.Popen[bytes] | None) -> None:
        """Register the process that works on it now, to be killed when it is cancelled."""
        with self._lock:
            self._process = process
            if process and self._cancelled.is_set():
                kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a session, and its process group."""
    if process.returncode is None:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
