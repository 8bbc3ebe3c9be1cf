"""The limits of a user: what their running jobs may take together. Pure."""

from __future__ import annotations

from orchestra.domain.fair_share import Load
from orchestra.domain.human import count
from orchestra.domain.models.users import UserLimits
from orchestra.domain.resources import WHOLE, Request


def in_words(limits: UserLimits) -> list[str]:
    """What the limits are: `40 CPU slots`, `2.5 GPUs`, `500 jobs`."""
    said = []
    if limits.cpus is not None:
        said.append(count(limits.cpus, "CPU slot"))
    if limits.gpu_milli is not None:
        said.append(gpus(limits.gpu_milli))
    if limits.running is not None:
        said.append(count(limits.running, "job"))
    return said


def gpus(milli: int) -> str:
    """A number of GPUs: `1 GPU`, `2.5 GPUs`."""
    return "1 GPU" if milli == WHOLE else f"{milli / WHOLE:g} GPUs"


def reached(limits: UserLimits, taken: Load, request: Request) -> str | None:
    """Return the limit that keeps a further job from starting; None if all allow it."""
    more = Load.of(request)
    if limits.running is not None and taken.jobs + 1 > limits.running:
        return count(limits.running, "job")
    if limits.cpus is not None and more.cpus and taken.cpus + more.cpus > limits.cpus:
        return count(limits.cpus, "CPU slot")
    milli = taken.gpu_milli + more.gpu_milli
    if limits.gpu_milli is not None and more.gpu_milli and milli > limits.gpu_milli:
        return gpus(limits.gpu_milli)
    return None
