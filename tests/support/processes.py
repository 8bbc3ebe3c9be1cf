"""Inspecting processes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


def lives(pid: int) -> bool:
    """Whether a process is alive; one that has ended and was not waited for yet is not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def command_lines() -> dict[int, str]:
    """The command line of every process on this machine, in any namespace, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            found[int(path.parent.name)] = (
                path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            )
    return found


def with_text(text: str) -> list[int]:
    """The processes with a text in their command lines."""
    return [pid for pid, line in command_lines().items() if text in line]
