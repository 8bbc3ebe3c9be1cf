"""The slots of a node in an allocation. Pure."""

from __future__ import annotations

from orchestra.domain.models.nodes import FoundResources
from orchestra.domain.states import Queue


def slots(found: FoundResources | None, queue: Queue, gpus: int) -> dict[Queue, int]:
    """Return as many slots as its pilot finds. A pool for CPU jobs has none for GPU jobs, though it may see GPUs.

    On a node for GPU jobs, CPU slots are what those jobs may ask for; its pilot claims no CPU jobs.

    Args:
        found: None before its pilot has looked.
        gpus: as many were asked for; 0 where that is not known. No more are used, since the pilot may see others', too;
            it finds out which of them answer.
    """
    cpus = (found and found.cpus) or 1
    devices = found.devices if found else None
    there = gpus or len(devices or ())
    return {Queue.CPU: cpus, Queue.GPU: there if queue is Queue.GPU else 0}
