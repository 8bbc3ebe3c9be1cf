"""Whether there is room on the pilot's disk for what keepers write down; without it nothing is claimed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestra.domain import troubles
from orchestra.pilot.context import Context

log = logging.getLogger(__name__)

LOOK_EVERY, LOOK_AGAIN = 10.0, 1.0
"""Seconds: while there is room, and while there is none."""
ENOUGH = 512 * 1024
"""Bytes: some hundred outcomes, and a few lines of a log."""


class DiskGuard:
    """Stops claims while the disk is full. It is asked by taking the room for a moment: quotas are seen only so."""

    def __init__(self, context: Context, resume: Callable[[], None]) -> None:
        """`resume` is called when there is room again."""
        self.context, self._resume = context, resume
        self._look_at = 0.0

    def tick(self, now: float) -> float:
        """Look when it is time; gives when to be called again."""
        if self.context.disk_suspected:
            self.context.disk_suspected, self._look_at = False, now
        if now >= self._look_at:
            self._look()
            self._look_at = now + (LOOK_AGAIN if self.context.is_full else LOOK_EVERY)
        return self._look_at

    def _look(self) -> None:
        error = shortage(self.context.folder)
        if error and not self.context.is_full:
            log.error("%s: %s; nothing is claimed", self.context.folder, error.strerror)
            why = (error.strerror or "").lower()
            self.context.troubles["room"] = troubles.no_room(str(self.context.folder), why)
        elif not error and self.context.is_full:
            log.info("%s: there is room again", self.context.folder)
            del self.context.troubles["room"]
            self._resume()


def shortage(folder: Path, size: int = ENOUGH) -> OSError | None:
    """Give what the system says where a file of that size cannot be made."""
    path = folder / "room"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        return error
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        return error
    finally:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
    return None
