"""What the machine has for jobs besides GPUs (gpus.py) and disks (scratch_duty.py): processors and memory.

These may change while it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import inf

from orchestra.domain.models.nodes import FoundResources
from orchestra.files import machine_resources
from orchestra.pilot import gpus
from orchestra.pilot.context import Context
from orchestra.pilot.lent import Lent

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0


def at_start(lent: Lent | None = None) -> FoundResources:
    """Return what can be told at once."""
    return replace(look(lent), devices=gpus.at_start())


def look(lent: Lent | None = None) -> FoundResources:
    """Return what the machine has now, without its GPUs and disks. Runs in an I/O thread."""
    found = FoundResources(
        cpus=machine_resources.cpu_count(),
        memory_bytes=machine_resources.memory_bytes(),
        architecture=machine_resources.architecture(),
    )
    return lent.share(found) if lent else found


class MachineWatch:
    """Looks at the machine regularly. The lease tells the database what has changed."""

    def __init__(self, context: Context, resume_claims: Callable[[], None]) -> None:
        """`resume_claims` is called when the machine has changed."""
        self.context, self._resume_claims = context, resume_claims
        self._look_at = 0.0
        self._is_looking = False

    def tick(self, now: float) -> float:
        """Look when it is due; return the next wake-up."""
        if self._is_looking:
            return inf
        if now < self._look_at:
            return self._look_at
        self._look_at, self._is_looking = now + LOOK_EVERY, True
        lent = self.context.lent.lent if self.context.lent else None
        self.context.workers.submit(partial(look, lent), self._seen, self._failed, lane="machine")
        return inf

    def _seen(self, found: FoundResources) -> None:
        self._is_looking = False
        context = self.context
        context.unseen.discard("machine")
        others = context.state.found
        found = replace(found, devices=others.devices, scratch_bytes=others.scratch_bytes)
        if found != context.state.found:
            context.state.found = found
            self._resume_claims()

    def _failed(self, error: Exception) -> None:
        self._is_looking = False
        self.context.unseen.discard("machine")  # what is known of it is stored all the same
        log.error("this machine could not be looked at: %s", error)
