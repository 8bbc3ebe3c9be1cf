"""What the machine has for jobs: processors, memory and GPUs, which may change while the pilot runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from math import inf

from orchestra.domain.gpus import visible_devices
from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.files import machine_resources
from orchestra.gpus import reader
from orchestra.pilot import gpus
from orchestra.pilot.context import Context

log = logging.getLogger(__name__)

LOOK_EVERY = 30.0


def at_start() -> FoundResources:
    """Return what can be told at once: no GPUs yet where there is a driver to ask, which may take its time."""
    return _found(() if reader.is_installed() else _named())


def look() -> FoundResources:
    """Return what the machine has now. Runs in an I/O thread."""
    devices = gpus.find()
    return _found(_named() if devices is None else devices)


def _found(devices: tuple[Device, ...] | None) -> FoundResources:
    return FoundResources(
        cpus=machine_resources.cpu_count(),
        memory_bytes=machine_resources.memory_bytes(),
        architecture=machine_resources.architecture(),
        devices=devices,
    )


def _named() -> tuple[Device, ...] | None:
    return named_devices(os.environ.get("CUDA_VISIBLE_DEVICES"))


def named_devices(value: str | None) -> tuple[Device, ...] | None:
    """Return the devices that CUDA_VISIBLE_DEVICES names; None if it is not set, so that their number is not known."""
    names = visible_devices(value)
    return None if names is None else tuple(map(Device, names))


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
        self.context.workers.submit(look, self._seen, self._failed, lane="machine")
        return inf

    def _seen(self, found: FoundResources) -> None:
        self._is_looking = False
        context = self.context
        if found != context.found:
            context.found = context.state.found = found
            self._resume_claims()

    def _failed(self, error: Exception) -> None:
        self._is_looking = False
        log.error("this machine could not be looked at: %s", error)
