"""Folders as seen from this machine: there, writable, with room, and not where they must not be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.cli.local.doctor.configuration import short
from orchestra.cli.local.doctor.finding import Finding, Trouble, of_trouble, ok, problem, warning
from orchestra.domain import human

LITTLE, NONE_LEFT = 1_000_000_000, 4_000_000
"""Bytes that are free: below the first it is worth a word, below the second nothing works."""
FEW = 0.02
"""The share of inodes below which it is worth a word."""
_TRIAL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Place:
    """A folder. `network` is the kind of its network file system, "" for a local disk; sizes are in bytes."""

    path: str
    exists: bool
    is_folder: bool = True
    unwritable: str | None = None
    network: str = ""
    free: int = 0
    size: int = 0
    inodes_free: int = 0
    inodes: int = 0
    belongs_to: str | None = None
    """Another machine whose database lies there."""


def look(folder: Path, *, owned: bool = False) -> Place:
    """Look at a folder, or where it would be made. A file is made and removed again. May hang with its volume.

    `owned`: it is a database's, which belongs to one machine.
    """
    from orchestra.store.postgres import datafolder

    network = datafolder.network_file_system(folder)
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    facts = os.statvfs(nearest)
    owner = datafolder.another_owner(folder) if owned and folder.is_dir() else None
    return Place(
        path=short(folder),
        exists=folder.exists(),
        is_folder=nearest.is_dir(),
        unwritable=_complaint(nearest),
        network=network,
        free=facts.f_bavail * facts.f_frsize,
        size=facts.f_blocks * facts.f_frsize,
        inodes_free=facts.f_favail,
        inodes=facts.f_files,
        belongs_to=owner,
    )


def _complaint(folder: Path) -> str | None:
    """Say why nothing can be written; a quota is seen by writing alone."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".orchestra-trial-") as file:
            file.write(b"\0" * _TRIAL)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def judge_own(check: str, seen: Place | Trouble, *, setting: str) -> Iterator[Finding]:
    """Say how a folder is that must be on a local disk and is made when it is needed."""
    if isinstance(seen, Trouble):
        yield of_trouble(check, seen)
    elif seen.network:
        yield problem(
            check,
            f"{seen.path} is on a network file system ({seen.network}), where it would be destroyed.",
            f'"{setting}" in the configuration names another place, on a local disk.',
        )
    elif seen.belongs_to:
        yield problem(
            check,
            f"the database in {seen.path} belongs to the machine {seen.belongs_to}.",
            f'Work there, or give this machine its own "{setting}".',
        )
    else:
        yield _of_room(check, seen, f'"{setting}" in the configuration names another place.')


def judge_volume(seen: Place | Trouble, *, others: tuple[str, ...]) -> Iterator[Finding]:
    """Say how the folder is that tasks write into; `others` are other nodes that would have to see it."""
    check = "volume"
    if isinstance(seen, Trouble):
        yield of_trouble(check, seen)
    elif not seen.exists:
        yield problem(check, f"{seen.path} is not there. Is it mounted?", f"mkdir {seen.path}")
    elif others and not seen.network and not seen.unwritable:
        yield warning(
            check,
            f"{seen.path} is on a disk of this machine, which {human.listed(others, most=3)} cannot see.",
            '"volume" in the configuration, or -v of task create, names a shared folder.',
        )
    else:
        yield _of_room(check, seen, '"volume" in the configuration names another place.')


def _of_room(check: str, seen: Place, elsewhere: str) -> Finding:
    if not seen.is_folder:
        return problem(check, f"{seen.path} is, or would be below, a file.", elsewhere)
    if seen.unwritable:
        what = "cannot be written to" if seen.exists else "cannot be made"
        return problem(check, f"{seen.path} {what}: {seen.unwritable.lower()}.", elsewhere)
    if seen.free < NONE_LEFT or (seen.inodes and not seen.inodes_free):
        what = "room" if seen.free < NONE_LEFT else "inodes (room for further files)"
        return problem(
            check, f"{seen.path} has no {what} left.", f"df -h {seen.path}; df -i {seen.path}"
        )
    if seen.free < LITTLE:
        return warning(check, f"{seen.path} has only {human.size(seen.free)} free.", elsewhere)
    if seen.inodes and seen.inodes_free < FEW * seen.inodes:
        left = f"{human.number(seen.inodes_free)} of {human.number(seen.inodes)}"
        return warning(
            check, f"{seen.path} has {left} inodes left: each job needs three or more.", elsewhere
        )
    kind = f"on {seen.network}" if seen.network else "on a local disk"
    if not seen.exists:
        return ok(check, f"{seen.path}, {kind}, is made when it is needed")
    return ok(check, f"{seen.path}, {kind}, {human.size(seen.free)} free")
