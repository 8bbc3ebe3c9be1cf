"""The GPUs of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable

from orchestra.domain import gpus as domain_gpus
from orchestra.domain.models.nodes import Device
from orchestra.gpus import reader


def gpus(say: Callable[[str], None]) -> tuple[Device, ...]:
    """Return the GPUs of NVIDIA, or MIG devices, that jobs can use; `say` is told why others cannot be."""
    try:
        boards = reader.look() or ()
    except reader.GpusUnknown as error:
        say(str(error))
        return ()
    for failure in domain_gpus.failures(boards):
        say(f"{failure}.")
    return domain_gpus.usable(domain_gpus.visible(boards, os.environ.get("CUDA_VISIBLE_DEVICES")))
