"""Inspecting processes."""

from __future__ import annotations

from pathlib import Path


def lives(pid: int) -> bool:
    """Whether a process is alive; one that has ended and was not waited for yet is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
