"""A terminal for a command that prompts, or prints colours or progress."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from support.maestro import PROGRAM, Maestro


@dataclass
class Terminal:
    """A process at a terminal; `screen` is everything written there so far."""

    process: subprocess.Popen[bytes]
    controller: int
    chunks: list[bytes] = field(default_factory=list)

    @property
    def screen(self) -> str:
        return b"".join(self.chunks).decode(errors="replace")

    def type(self, text: str) -> None:
        os.write(self.controller, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def read(self) -> None:
        try:
            while chunk := os.read(self.controller, 65536):
                self.chunks.append(chunk)
        except OSError:
            pass  # the last process at the terminal has gone


@contextmanager
def at_terminal(maestro: Maestro, *arguments: object) -> Iterator[Terminal]:
    """Run a command at a terminal; leaving the block ends it."""
    controller, far = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=maestro.folder,
        env={"TERM": "xterm"} | maestro.environment(),
        stdin=far,
        stdout=far,
        stderr=far,
        start_new_session=True,
    )
    os.close(far)
    terminal = Terminal(process, controller)
    reader = threading.Thread(target=terminal.read)
    reader.start()
    try:
        yield terminal
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(timeout=10)
        os.close(controller)
