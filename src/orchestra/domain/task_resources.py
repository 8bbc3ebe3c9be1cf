"""What jobs of a task ask for, as people say it. Pure."""

from __future__ import annotations

from dataclasses import replace

from orchestra.domain.errors import BadInput
from orchestra.domain.models.tasks import Resources
from orchestra.domain.quantities import LARGEST_SIZE
from orchestra.domain.resources import WHOLE
from orchestra.domain.states import Queue
from orchestra.domain.storable import check_whole
from orchestra.domain.wording import Field, words


def with_cpus(queue: Queue, now: Resources, cpus: int | None, cores: int | None) -> Resources:
    """Return resources with other CPU slots, or processors that libraries use; None leaves them as they are.

    On the cpu queue both are the same. A job of the gpu queue takes `cpus` slots, by default none, and its libraries
    are told to use as many processors, or `cores`, which take no slot.

    Raises:
        BadInput: a number is out of range, or the two contradict each other.
    """
    if queue is Queue.CPU:
        if None not in (cpus, cores) and cpus != cores:
            raise BadInput(
                words(Field.CPUS, " and ", Field.CORES, " are the same on the cpu queue: give one.")
            )
        wanted = cores if cpus is None else cpus
        if wanted is None:
            return now
        check_whole(Field.CORES if cpus is None else Field.CPUS, wanted, least=1)
        return replace(now, cores=wanted)
    if cpus is not None:
        check_whole(Field.CPUS, cpus, least=0)
        now = replace(now, cpus_gpu_job=cpus, cores=max(1, cpus))
    return now if cores is None else replace(now, cores=cores)


def check_resources(queue: Queue, resources: Resources) -> None:
    """Refuse what no job could get, and GPUs on the cpu queue.

    Raises:
        BadInput: something cannot be used.
    """
    if queue is Queue.CPU and (resources.gpus or resources.gpu_milli or resources.vram_bytes):
        raise BadInput(
            "jobs on the cpu queue get no GPU.",
            hint=words(Field.QUEUE("gpu"), " gives each of them one or more."),
        )
    check_whole(Field.CORES, resources.cores, least=1)
    check_whole(Field.CPUS, resources.cpus_gpu_job, least=0)
    check_whole(Field.GPUS, resources.gpus, least=0)
    if resources.gpu_milli is not None:
        check_whole("a part of a GPU in thousandths", resources.gpu_milli, least=1, most=WHOLE - 1)
        if resources.gpus > 1:
            raise BadInput("a job can have several GPUs or a part of one, not both.")
    for field, size in (
        (Field.MEMORY, resources.memory_bytes),
        (Field.GPU_MEMORY, resources.vram_bytes),
        (Field.SCRATCH, resources.scratch_bytes),
    ):
        if size is not None:
            check_whole(field, size, least=1, most=LARGEST_SIZE)


def with_gpu(queue: Queue, resources: Resources) -> Resources:
    """Return what a job takes: on the gpu queue one GPU unless it asks for more, on the cpu queue `cores` alone."""
    if queue is Queue.GPU:
        return replace(resources, gpus=max(1, resources.gpus))
    return replace(resources, cpus_gpu_job=0)
