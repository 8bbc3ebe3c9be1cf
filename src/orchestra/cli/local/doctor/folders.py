"""Folders as this machine sees them: whether they exist, are writable, have space and are on a suitable disk."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.cli.local.doctor.configuration import short
from orchestra.cli.local.doctor.finding import Failure, Finding, failed, ok, problem, warning
from orchestra.domain import human

LITTLE, NONE_LEFT = 1_000_000_000, 4_000_000
"""Free bytes below which there is a warning, and a problem."""
FEW = 0.02
"""The share of free inodes below which there is a warning."""
_TRIAL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder. `network` is the type of its network file system, "" for a local disk; sizes are in bytes."""

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
    """The other machine whose database is in it."""


def inspect(folder: Path, *, owned: bool = False) -> Folder:
    """Inspect a folder, or the place where it would be created. Writes a file and removes it. May hang with its volume.

    `owned`: it contains a database, which belongs to one machine.
    """
    from orchestra.store.postgres import datafolder

    network = datafolder.network_file_system(folder)
    nearest = folder.absolute()
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    facts = os.statvfs(nearest)
    owner = datafolder.another_owner(folder) if owned and folder.is_dir() else None
    return Folder(
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
    """Return why nothing can be written; only writing detects a quota."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".orchestra-trial-") as file:
            file.write(b"\0" * _TRIAL)
            file.flush()
    except OSError as error:
        return error.strerror or str(error)
    return None


def assess_own(check: str, seen: Folder | Failure, *, setting: str) -> Iterator[Finding]:
    """Report on a folder that must be on a local disk and is created when it is needed."""
    if isinstance(seen, Failure):
        yield failed(check, seen)
    elif seen.network:
        yield problem(
            check,
            f"{seen.path} is on a network file system ({seen.network}), which can destroy it.",
            f'Set "{setting}" in the configuration to a folder on a local disk.',
        )
    elif seen.belongs_to:
        yield problem(
            check,
            f"the database in {seen.path} belongs to the machine {seen.belongs_to}.",
            f'Use that machine, or set "{setting}" for this one.',
        )
    else:
        yield _space(check, seen, f'Set "{setting}" in the configuration to another folder.')


def assess_volume(seen: Folder | Failure, *, others: tuple[str, ...]) -> Iterator[Finding]:
    """Report on the folder that tasks write into; `others` are other nodes, which need it as well."""
    check = "volume"
    if isinstance(seen, Failure):
        yield failed(check, seen)
    elif not seen.exists:
        yield problem(check, f"{seen.path} does not exist. Is it mounted?", f"mkdir {seen.path}")
    elif others and not seen.network and not seen.unwritable:
        yield warning(
            check,
            f"{seen.path} is on a disk of this machine, which {human.listed(others, most=3)} cannot see.",
            'Set "volume" in the configuration, or -v of task create, to a shared folder.',
        )
    else:
        yield _space(check, seen, 'Set "volume" in the configuration to another folder.')


def _space(check: str, seen: Folder, elsewhere: str) -> Finding:
    if not seen.is_folder:
        return problem(check, f"{seen.path} is, or would be below, a file.", elsewhere)
    if seen.unwritable:
        what = "cannot be written to" if seen.exists else "cannot be created"
        return problem(check, f"{seen.path} {what}: {seen.unwritable.lower()}.", elsewhere)
    if seen.free < NONE_LEFT or (seen.inodes and not seen.inodes_free):
        what = "space" if seen.free < NONE_LEFT else "inodes (for further files)"
        return problem(
            check, f"{seen.path} has no {what} left.", f"df -h {seen.path}; df -i {seen.path}"
        )
    if seen.free < LITTLE:
        return warning(check, f"{seen.path} has only {human.size(seen.free)} free.", elsewhere)
    if seen.inodes and seen.inodes_free < FEW * seen.inodes:
        left = f"{human.number(seen.inodes_free)} of {human.number(seen.inodes)}"
        return warning(
            check,
            f"{seen.path} has {left} inodes left, and each job needs three or more.",
            elsewhere,
        )
    kind = f"on {seen.network}" if seen.network else "on a local disk"
    if not seen.exists:
        return ok(check, f"{seen.path}, {kind}, is created when it is needed")
    return ok(check, f"{seen.path}, {kind}, {human.size(seen.free)} free")
