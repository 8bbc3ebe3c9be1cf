"""What a job takes of a node, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.domain.human import count, listed, size
from orchestra.domain.models.tasks import Resources
from orchestra.domain.resources import WHOLE, Request, Room


def part_of_gpu(milli: int) -> str:
    """`0.5 GPUs`."""
    return f"{milli / WHOLE:.3f}".rstrip("0").rstrip(".") + " GPUs"


def gpus_in_words(resources: Resources) -> str:
    """`2 GPUs`, `0.5 GPUs`; empty for none."""
    if resources.gpu_milli:
        return part_of_gpu(resources.gpu_milli)
    return count(resources.gpus, "GPU") if resources.gpus else ""


def needs_in_words(resources: Resources) -> Iterator[str]:
    """Yield what a job asks for besides cores and GPUs: `4 CPU slots`, `20 GB of GPU memory`."""
    if resources.cpus_gpu_job:
        yield count(resources.cpus_gpu_job, "CPU slot")
    for size_of, what in (
        (resources.vram_bytes, "GPU memory"),
        (resources.memory_bytes, "memory"),
        (resources.scratch_bytes, "scratch space"),
    ):
        if size_of:
            yield f"{size(size_of)} of {what}"


def amount(request: Request, name: str) -> str:
    """Return one of the things that a request takes, by the name of its field: `4 CPU slots`, `64 GB of memory`."""
    match name:
        case "cpus":
            return count(request.cpus, "CPU slot")
        case "gpus":
            return count(request.gpus, "GPU")
        case "gpu_milli":
            return part_of_gpu(request.gpu_milli)
        case "vram_bytes":
            return f"{size(request.vram_bytes)} of memory on a GPU"
        case "memory_bytes":
            return f"{size(request.memory_bytes)} of memory"
        case "scratch_bytes":
            return f"{size(request.scratch_bytes)} of scratch space"
        case "exclusive":
            return "a node of its own"
    raise ValueError(name)


def too_much(request: Request, room: Room) -> str:
    """Return what a request takes of which there is too little: `4 CPU slots and 64 GB of memory`."""
    return listed([amount(request, name) for name in room.needs(request)])
