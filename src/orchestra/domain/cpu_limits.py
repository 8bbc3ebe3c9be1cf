"""The control groups of a process, and the CPU limits from them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath


def control_groups(own: str, mounts: str, controller: str = "cpu") -> list[PurePosixPath]:
    """Return the folders of a process's control groups with a controller, each with its ancestors.

    `own` is /proc/PID/cgroup, `mounts` /proc/PID/mountinfo. Groups above a mount (in a container) cannot be seen.
    """
    paths = {line.split(":")[1]: line.split(":", 2)[2] for line in own.splitlines() if ":" in line}
    first = {name: path for names, path in paths.items() for name in names.split(",")}
    folders: list[PurePosixPath] = []
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")
        if kind[0] == "cgroup2":
            path = first.get("")
        elif kind[0] == "cgroup" and controller in kind[-1].split(","):
            path = first.get(controller)
        else:
            continue
        if path is not None:
            place = PurePosixPath(_unescaped(fields[4]))
            folders += _with_ancestors(place, _below(path, _unescaped(fields[3])))
    return folders


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _below(path: str, root: str) -> PurePosixPath:
    """The path of a group in a mount of the hierarchy below `root`; "." if it is outside."""
    group = PurePosixPath(path)
    if ".." in group.parts or not group.is_relative_to(root):
        return PurePosixPath()
    return group.relative_to(root)


def _with_ancestors(place: PurePosixPath, group: PurePosixPath) -> list[PurePosixPath]:
    return [place / each for each in (group, *group.parents)]


def quota(text: str) -> float | None:
    """Parse "QUOTA PERIOD" of cpu.max into a number of CPUs; None for no limit."""
    try:
        allowed, period = map(int, text.split())
    except ValueError:  # "max"
        return None
    return allowed / period if allowed > 0 and period > 0 else None


def usable(mine: int, quotas: Iterable[float | None]) -> int:
    """The number of CPUs that can be kept busy, at least one, from the affinity `mine` and the quotas."""
    return max(1, int(min([mine, *(each for each in quotas if each is not None)])))
