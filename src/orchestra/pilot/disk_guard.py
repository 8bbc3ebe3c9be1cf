"""Whether the pilot's disk has room for the keepers' spools; without it, nothing is claimed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from orchestra.domain import troubles
from orchestra.pilot.allocation import allocation_error
from orchestra.pilot.context import Context

log = logging.getLogger(__name__)

CHECK_EVERY, CHECK_FULL_EVERY = 10.0, 1.0
"""Seconds between two checks while there is room, and while there is none."""


class DiskGuard:
    """Stops claims while the disk is full. It checks by allocating the room for a moment, which also finds quotas."""

    def __init__(self, context: Context, resume_claims: Callable[[], None]) -> None:
        """`resume_claims` is called when there is room again."""
        self.context, self._resume_claims = context, resume_claims
        self._check_at = 0.0

    def tick(self, now: float) -> float:
        """Check when it is due; return the next wake-up."""
        if self.context.check_disk:
            self.context.check_disk, self._check_at = False, now
        if now >= self._check_at:
            self._check()
            full = self.context.is_disk_full
            self._check_at = now + (CHECK_FULL_EVERY if full else CHECK_EVERY)
        return self._check_at

    def _check(self) -> None:
        error = allocation_error(self.context.folder)
        if error and not self.context.is_disk_full:
            log.error("%s: %s; nothing is claimed", self.context.folder, error.strerror)
            why = (error.strerror or "").lower()
            self.context.troubles["disk"] = troubles.no_room(str(self.context.folder), why)
        elif not error and self.context.is_disk_full:
            log.info("%s: there is room again", self.context.folder)
            del self.context.troubles["disk"]
            self._resume_claims()
