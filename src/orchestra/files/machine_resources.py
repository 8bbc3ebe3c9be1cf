"""The processors and the memory of this machine, within the limits of this process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestra.domain import cpu_limits, memory_limits

_PROC = Path("/proc")


def cpu_count(proc: Path = _PROC) -> int:
    """Return how many processors this process may use, by its affinity and the quotas of its control groups."""
    available = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return cpu_limits.usable(available, map(_quota, _control_groups(proc, "cpu")))


def memory_bytes(proc: Path = _PROC) -> int | None:
    """Return how much memory this process may use, by the machine's and the limits of its control groups."""
    machine = memory_limits.of_machine(_read(proc / "meminfo"))
    groups = _control_groups(proc, "memory")
    return memory_limits.usable(machine, (each for group in groups for each in _limits(group)))


def architecture() -> str:
    """Return the machine's architecture as `uname -m` prints it."""
    return os.uname().machine


def _control_groups(proc: Path, controller: str) -> list[PurePosixPath]:
    own, mounts = _read(proc / "self/cgroup"), _read(proc / "self/mountinfo")
    return cpu_limits.control_groups(own, mounts, controller)


def _quota(group: PurePosixPath) -> float | None:
    return cpu_limits.quota(_read(Path(group, "cpu.max"))) or cpu_limits.quota(
        f"{_read(Path(group, 'cpu.cfs_quota_us'))} {_read(Path(group, 'cpu.cfs_period_us'))}"
    )


def _limits(group: PurePosixPath) -> Iterator[int | None]:
    """Yield the limits of a group. Above memory.high, processes are slowed down until they hardly run."""
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        yield memory_limits.limit(_read(Path(group, name)))
    yield memory_limits.of_ancestors(_read(Path(group, "memory.stat")))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
