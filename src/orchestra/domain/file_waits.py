"""Sentences about jobs that wait for files that do not answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra.domain.troubles import Kind, Trouble, checksum_of


@dataclass(frozen=True, slots=True)
class FileWait:
    """A job on a node: its pilot's troubles, the folders that do not answer there, and those that the job needs."""

    task: int
    node: str
    troubles: Sequence[Trouble]
    silent: Sequence[str]
    volume: str
    needs: Sequence[str]


def silent(path: str, volume: str | None = None) -> str:
    """Say that a path does not answer; `volume` is that of the task that needs it."""
    return f"{_name(path, volume)} does not answer"


def _name(path: str, volume: str | None) -> str:
    return f"the volume {volume}" if volume and _is_below(path, volume) else path


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _needed(silent: Sequence[str], volume: str, needs: Sequence[str]) -> list[str]:
    """The names of the silent folders that a task needs."""
    found = [path for path in silent if any(_is_below(path, each) for each in (volume, *needs))]
    return list(dict.fromkeys(_name(path, volume) for path in found))


def of_node(node: str, silent: Sequence[str], volume: str, needs: Sequence[str]) -> Iterator[str]:
    """Yield which folders that a task needs do not answer on a node."""
    for name in _needed(silent, volume, needs):
        yield f"{name[:1].upper()}{name[1:]} does not answer on node {node}."


def sentences(held_up: FileWait, *, started: bool, ends: bool) -> Iterator[str]:
    """Yield what a job waits for; `ends` if it is to be ended."""
    for name in _needed(held_up.silent, held_up.volume, held_up.needs):
        if started and not ends:
            yield f"{name[:1].upper()}{name[1:]} does not answer on node {held_up.node}; the job may wait for it."
        else:
            what = "Its end is waiting" if ends else "It is waiting"
            yield f"{what} for {name}, which does not answer on node {held_up.node}."
    for trouble in held_up.troubles:
        if trouble.kind is Kind.CHECKSUM and trouble.task == held_up.task and trouble.path:
            yield f"It is waiting for the {checksum_of(trouble.path)}."
