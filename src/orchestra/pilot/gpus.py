"""The GPUs that a pilot may use."""

from __future__ import annotations

import logging
import os

from orchestra.domain import gpus
from orchestra.domain.models.nodes import Device
from orchestra.gpus import reader

log = logging.getLogger(__name__)


def find() -> tuple[Device, ...] | None:
    """Return the GPUs and MIG devices that jobs may use, in the order of CUDA_VISIBLE_DEVICES or of their indexes.

    None: this machine has no driver of NVIDIA, so their number cannot be told. None of them, if the driver does not
    work: jobs could not use them either. May take as long as `reader.ANSWER_WITHIN`.
    """
    try:
        boards = reader.look()
    except reader.GpusUnknown as error:
        log.error("%s", error)
        return ()
    if boards is None:
        return None
    return gpus.usable(gpus.visible(boards, os.environ.get("CUDA_VISIBLE_DEVICES")))
