"""Asks `nvidia-smi`, where NVIDIA's library is not among those of the system (WSL, NixOS, some containers)."""

from __future__ import annotations

import os
import subprocess

from orchestra.domain.gpus import Gpu, listed
from orchestra.domain.secrets import without_secrets


def look(within: float) -> tuple[Gpu, ...] | None:
    """Return the boards of this machine, with names and UUIDs only; None if the program does not tell them in time."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"],
            check=False,
            env=without_secrets(os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=within,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return listed(done.stdout) or None if done.returncode == 0 else None
