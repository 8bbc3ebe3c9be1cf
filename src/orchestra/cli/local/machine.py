"""The processors and GPUs of this machine."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from orchestra.domain import cpu_limits, gpus
from orchestra.domain.gpus import Gpu
from orchestra.domain.secrets import without_secrets

_NVIDIA = Path("/proc/driver/nvidia/gpus")
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


def gpu_names() -> list[str]:
    """Return the name of each NVIDIA GPU, or MIG instance, that jobs can use."""
    found = _by_program() or _by_driver()
    return gpus.visible_names(found, os.environ.get("CUDA_VISIBLE_DEVICES"))


def _by_program() -> Sequence[Gpu]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            check=False,
            env=without_secrets(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return gpus.listed(done.stdout) if done.returncode == 0 else ()


def _by_driver() -> Sequence[Gpu]:
    """Read the driver's list of boards, which does not include MIG instances."""
    found = []
    for path in sorted(_NVIDIA.glob("*/information")):
        lines = [line.partition(":") for line in _read(path).splitlines()]
        facts = {key.strip(): value.strip() for key, _, value in lines}
        found.append(Gpu(facts.get("Model") or "NVIDIA GPU", facts.get("GPU UUID", ""), None))
    return found


def in_words(names: Sequence[str]) -> str:
    """Return text such as "NVIDIA A100 x 2"."""
    return ", ".join(
        name if number == 1 else f"{name} x {number}" for name, number in Counter(names).items()
    )
