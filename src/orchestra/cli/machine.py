"""What this machine has: processors and GPUs."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from orchestra.domain.secrets import without_secrets

_NVIDIA = Path("/proc/driver/nvidia/gpus")


def cpu_count() -> int:
    """Give how many processors this process may use: by its affinity, and by the limit of its container."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = _quota(Path("/sys/fs/cgroup"))
    return max(1, min(mine, int(limit) if limit else mine))


def _quota(root: Path) -> float | None:
    """Give the processors that the control group allows, None for all."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text()
            period = (root / "cpu/cpu.cfs_period_us").read_text()
        except OSError:
            return None
    try:
        allowed = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return None
    return allowed if allowed > 0 else None


def gpu_names() -> list[str]:
    """Give the name of each NVIDIA GPU that jobs could use; [] where there is none."""
    names = _by_program() or _by_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return names
    chosen = [part for part in visible.split(",") if part.strip() not in ("", "-1")]
    return names[: len(chosen)]


def _by_program() -> list[str]:
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            check=False,
            env=without_secrets(os.environ),
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    lines = done.stdout.splitlines() if done.returncode == 0 else []
    # GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5a...)
    return [
        line.partition(": ")[2].partition(" (UUID")[0] for line in lines if line.startswith("GPU ")
    ]


def _by_driver() -> list[str]:
    names = []
    for path in sorted(_NVIDIA.glob("*/information")):
        lines = path.read_text(errors="replace").splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("Model")]
        names.append(models[0] if models else "NVIDIA GPU")
    return names


def in_words(names: Sequence[str]) -> str:
    """Give "NVIDIA A100 x 2"."""
    return ", ".join(
        name if number == 1 else f"{name} x {number}" for name, number in Counter(names).items()
    )
