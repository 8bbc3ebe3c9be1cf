"""The configuration: which files and variables it comes from, who can read them, which keys are unknown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.cli.local.doctor.finding import Failure, Finding, failed, ok, warning
from orchestra.cli.output import with_tilde
from orchestra.config import FILE_NAME, Caution, Settings
from orchestra.domain import human

CHECK = "configuration"


@dataclass(frozen=True, slots=True)
class Configured:
    """Where the settings come from: the user's file is `path`, the machine's `system_path`; None if there is none."""

    path: str | None
    mode: int
    warnings: tuple[Caution, ...]
    variables: tuple[str, ...]
    system_path: str | None = None


def inspect(settings: Settings) -> Configured:
    """Read where the settings come from."""
    file, system = settings.path, settings.system_path
    exists = file is not None and file.exists()
    variables = {origin for origin in settings.origins.values() if origin.startswith("MAESTRO_")}
    for_root = settings.root_warnings if os.geteuid() == 0 else ()
    return Configured(
        path=short(file) if file and exists else None,
        mode=file.stat().st_mode & 0o777 if file and exists else 0,
        warnings=settings.warnings + for_root,
        variables=tuple(sorted(variables)),
        system_path=short(system) if system else None,
    )


def assess(seen: Configured | Failure) -> Iterator[Finding]:
    """Report warnings and what cannot be used, else the files and variables."""
    if isinstance(seen, Failure):
        yield failed(CHECK, seen)
        return
    for caution in seen.warnings:
        yield warning(CHECK, f"{caution.text}.", caution.remedy)
    if not seen.warnings:
        yield ok(CHECK, _sources(seen))


def _sources(seen: Configured) -> str:
    variables = f"; {human.listed(seen.variables)} in the environment" if seen.variables else ""
    if seen.path:
        readers = "readable by others" if seen.mode & 0o044 else "readable by you alone"
        below = f", over {seen.system_path}" if seen.system_path else ""
        return f"{seen.path}, {readers}{below}{variables}"
    if seen.system_path:
        return f"{seen.system_path}; no file of your own (it would be ~/{FILE_NAME}){variables}"
    return f"no file, so everything has its default (it would be ~/{FILE_NAME}){variables}"


def short(path: Path) -> str:
    """Write the home folder as ~."""
    return with_tilde(str(path))
