"""What is said of files that cannot be looked at just now. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_PARTS = re.compile(r"; (?=task \d+ |the volume )")


@dataclass(frozen=True, slots=True)
class HeldUp:
    """A job that a node has: what its pilot says, the folders that do not answer there, those that the job needs."""

    task: int
    node: str
    says: str | None
    silent: Sequence[str]
    volume: str
    needs: Sequence[str]


def silent(path: str, volume: str | None = None) -> str:
    """Say that a path does not answer; `volume` is that of the task that needs it, which holds its outputs."""
    return f"{_name(path, volume)} does not answer"


def _name(path: str, volume: str | None) -> str:
    return f"the volume {volume}" if volume and _is_below(path, volume) else path


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def cannot_start(task: int, why: str) -> str:
    """Give what a pilot says of a task that it cannot start."""
    return f"task {task} cannot start: {why}"


def checksum(task: int, path: str) -> str:
    """Give what a pilot says while it takes a checksum."""
    return f"{_waits(task)}the checksum of {path}, whose time is not the registered one"


def _waits(task: int) -> str:
    return f"task {task} waits for "


def _needed(silent: Sequence[str], volume: str, needs: Sequence[str]) -> list[str]:
    """Name those of the silent folders that somebody needs."""
    found = [path for path in silent if any(_is_below(path, each) for each in (volume, *needs))]
    return list(dict.fromkeys(_name(path, volume) for path in found))


def of_node(node: str, silent: Sequence[str], volume: str, needs: Sequence[str]) -> Iterator[str]:
    """Say which folders that a task needs do not answer on a node."""
    for name in _needed(silent, volume, needs):
        yield f"{name[:1].upper()}{name[1:]} does not answer on node {node}."


def sentences(held_up: HeldUp, *, started: bool, ends: bool) -> Iterator[str]:
    """Say for what a job waits; `ends` says that it is to be ended."""
    for name in _needed(held_up.silent, held_up.volume, held_up.needs):
        if started and not ends:
            yield f"{name[:1].upper()}{name[1:]} does not answer on node {held_up.node}; the job may wait for it."
        else:
            what = "Its end waits" if ends else "It waits"
            yield f"{what} for {name}, which does not answer on node {held_up.node}."
    for part in _PARTS.split(held_up.says or ""):
        if part.startswith(_waits(held_up.task)):
            yield f"It waits for {part.removeprefix(_waits(held_up.task))}."
