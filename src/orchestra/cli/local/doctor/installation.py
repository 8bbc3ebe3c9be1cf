"""The installation: other programs called `maestro`, and other packages called `orchestra`."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from orchestra.cli.local.doctor.finding import Failure, Finding, failed, warning
from orchestra.domain import human

CHECK = "installation"
COMMAND, PACKAGE = "maestro", "orchestra"
_OWN = "orchestra-hpc"
_SCRIPT = 10_000
"""Bytes of a script that are read to see whose it is."""


@dataclass(frozen=True, slots=True)
class Installation:
    """What else has the names of this program.

    Args:
        first: the `maestro` that comes first on the PATH, if it is not this program's.
        commands: the distributions beside this one that install a `maestro`.
        packages: the distributions beside this one that provide an importable `orchestra`.
    """

    first: str | None = None
    commands: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


def inspect(path: str | None = None, folders: Sequence[str] | None = None) -> Installation:
    """Search the PATH, and the distributions in the folders that Python imports from."""
    others = [one for one in distributions(path=list(folders or sys.path)) if _name(one) != _OWN]
    first = shutil.which(COMMAND, path=path)
    return Installation(
        first=first if first and not _is_ours(Path(first)) else None,
        commands=tuple(_described(one) for one in others if _installs_command(one)),
        packages=tuple(_described(one) for one in others if _provides_package(one)),
    )


def _name(distribution: Distribution) -> str:
    name: str | None = distribution.metadata["Name"]
    return (name or "").replace("_", "-").lower()


def _described(distribution: Distribution) -> str:
    return f"{_name(distribution)} {distribution.version} in {distribution.locate_file('')}"


def _installs_command(distribution: Distribution) -> bool:
    found = distribution.entry_points.select(group="console_scripts", name=COMMAND)
    return bool(found)


def _provides_package(distribution: Distribution) -> bool:
    files = (distribution.read_text("RECORD") or "").splitlines()
    names = (distribution.read_text("top_level.txt") or "").split()
    return PACKAGE in names or any(line.startswith(f"{PACKAGE}/") for line in files)


def _is_ours(program: Path) -> bool:
    """Whether a script starts this package. Its first line is ignored: the path of its Python may contain any word."""
    try:
        with program.open("rb") as file:
            _, _, text = file.read(_SCRIPT).partition(b"\n")
    except OSError:
        return False
    if PACKAGE.encode() in text or os.fsencode(sys.executable) in text:
        return True
    started = Path(sys.argv[0])
    return started.exists() and started.samefile(program)


def assess(seen: Installation | Failure) -> Iterator[Finding]:
    """Report each name that is used twice."""
    this = f"{shlex.quote(sys.executable)} -m {PACKAGE}"
    if isinstance(seen, Failure):
        yield failed(CHECK, seen)
        return
    if seen.first:
        yield warning(
            CHECK,
            f"the first `{COMMAND}` on your PATH is another program, {seen.first}.",
            f"Put the folder of Orchestra's first on the PATH, or type: {this}",
        )
    if seen.commands:
        yield warning(
            CHECK,
            f"{human.listed(seen.commands)} also installs a command `{COMMAND}`, and the last one installed counts.",
            f"Install Orchestra in a virtual environment of its own. Until then, type: {this}",
        )
    if seen.packages:
        yield warning(
            CHECK,
            f"{human.listed(seen.packages)} also provides a Python package `{PACKAGE}`, so one can replace the other's "
            "files.",
            "Install Orchestra in a virtual environment of its own.",
        )
