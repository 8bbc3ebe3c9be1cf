"""The memory that a process may use: the machine's, and the limits of its control groups. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable


def of_machine(meminfo: str) -> int | None:
    """Parse /proc/meminfo into the bytes of the machine's memory; None if it does not say."""
    found = re.search(r"^MemTotal:\s+(\d+) kB$", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def limit(text: str) -> int | None:
    """Parse memory.max, memory.high (version 2) or memory.limit_in_bytes (version 1) into bytes.

    None for no limit: "max", or in version 1 a number of bytes that no machine has.
    """
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def of_ancestors(stat: str) -> int | None:
    """Parse memory.stat of version 1, which names the narrowest limit of the group and of all above it.

    Those of groups outside a container cannot be read otherwise.
    """
    found = re.search(r"^hierarchical_memory_limit (\d+)$", stat, re.MULTILINE)
    return int(found[1]) if found else None


def usable(machine: int | None, limits: Iterable[int | None]) -> int | None:
    """Return the bytes that may be used; None if they are not known.

    Limits above the machine's memory are none, nor is a limit of 0, under which no process could live.
    """
    known = [each for each in (machine, *limits) if each]
    return min(known, default=None) if machine else None
