"""Which processes that compute on GPUs are not jobs of this node. Reads /proc."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.domain.gpus import Gpu
from orchestra.domain.human import size
from orchestra.files.local_machine import process_exists
from orchestra.pilot.keeper import TOKEN_VARIABLE

_FIRST_NAMESPACE = "pid:[4026531836]"  # PROC_PID_INIT_INO of linux/proc_ns.h
_SHARES = "nvidia-cuda-mps"  # NVIDIA's server through which jobs share a GPU, cut as the kernel cuts names
_MUCH = 1 << 30
"""Bytes. A process that computes takes some hundred MB at least; the driver and a desktop can take about as much."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What is this node's: the process ids of its keepers, and the tokens of its attempts."""

    keepers: frozenset[int] = frozenset()
    tokens: frozenset[str] = frozenset()


def sees_all_processes() -> bool:
    """Whether this process is in the first PID namespace, to which the process ids that NVML reports belong.

    In another one, NVML reports ids of the first, or only those of its own, depending on the version of the driver.
    """
    return os.readlink("/proc/self/ns/pid") == _FIRST_NAMESPACE  # noqa: PTH115 - it names no path


def foreign(gpu: Gpu, ours: Ours) -> str | None:
    """Name a process that computes on a GPU and is no job of this node, or None. In the first PID namespace only."""
    for pid in gpu.processes or ():
        if process_exists(pid) and not _is_ours(pid, ours):
            name = _name(pid)
            if name != _SHARES:
                known = _described(name, _account(pid))
                return f"process {pid}{known}, which is no job of this node"
    return None


def foreign_by_memory(gpu: Gpu) -> str | None:
    """Say what a GPU, on which no job of this node runs, is used for, or None. For any PID namespace."""
    if gpu.processes or (gpu.used_bytes or 0) > _MUCH:
        taken = _described(size(gpu.used_bytes) if gpu.used_bytes else "")
        return f"a process outside this container{taken}"
    return None


def _is_ours(pid: int, ours: Ours) -> bool:
    """Whether a process descends from a keeper, or has an attempt's token, as in a container of Docker."""
    return _has_token(pid, ours.tokens) or _descends(pid, ours.keepers)


def _has_token(pid: int, tokens: frozenset[str]) -> bool:
    mark = f"{TOKEN_VARIABLE}=".encode()
    with suppress(OSError):  # of another account
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if variable.startswith(mark):
                return variable.removeprefix(mark).decode(errors="replace") in tokens
    return False


def _descends(pid: int, keepers: frozenset[int]) -> bool:
    while pid > 1:
        if pid in keepers:
            return True
        try:
            text = Path(f"/proc/{pid}/stat").read_bytes()
        except OSError:
            return False
        pid = int(text[text.rindex(b")") + 2 :].split()[1])
    return False


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""


def _account(pid: int) -> str:
    try:
        uid = Path(f"/proc/{pid}").stat().st_uid
        return pwd.getpwuid(uid).pw_name
    except (OSError, KeyError):
        return ""


def _described(*facts: str) -> str:
    known = [fact for fact in facts if fact]
    return f" ({', '.join(known)})" if known else ""
