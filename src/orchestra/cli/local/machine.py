"""The processors and GPUs of this machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from orchestra.domain import cpu_limits
from orchestra.domain import gpus as domain_gpus
from orchestra.domain.models.nodes import Device
from orchestra.gpus import reader

_SELF = Path("/proc/self")


def cpu_count(process: Path = _SELF) -> int:
    """Return how many processors this process may use, by its affinity and the quotas of its control groups."""
    available = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    own, mounts = _read(process / "cgroup"), _read(process / "mountinfo")
    return cpu_limits.usable(available, map(_quota, cpu_limits.control_groups(own, mounts)))


def _quota(group: PurePosixPath) -> float | None:
    return cpu_limits.quota(_read(Path(group, "cpu.max"))) or cpu_limits.quota(
        f"{_read(Path(group, 'cpu.cfs_quota_us'))} {_read(Path(group, 'cpu.cfs_period_us'))}"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


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
