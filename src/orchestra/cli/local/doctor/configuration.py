"""The configuration: which file, who can read it, what in it is not known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestra.cli.local.doctor.finding import Finding, Trouble, of_trouble, ok, problem, warning
from orchestra.cli.output import with_tilde
from orchestra.config import FILE_NAME, Caution, Settings
from orchestra.domain import human

CHECK = "configuration"


@dataclass(frozen=True, slots=True)
class Configured:
    """Where the settings come from. `path` is None where there is no file."""

    path: str | None
    mode: int
    warnings: tuple[Caution, ...]
    variables: tuple[str, ...]
    has_server: bool


def look(settings: Settings) -> Configured:
    """Say where the settings come from."""
    file = settings.path
    exists = file is not None and file.exists()
    variables = {origin for origin in settings.origins.values() if origin.startswith("MAESTRO_")}
    return Configured(
        path=short(file) if file and exists else None,
        mode=file.stat().st_mode & 0o777 if file and exists else 0,
        warnings=settings.warnings,
        variables=tuple(sorted(variables)),
        has_server=settings.server is not None,
    )


def judge(seen: Configured | Trouble) -> Iterator[Finding]:
    """Say how it is."""
    if isinstance(seen, Trouble):
        yield of_trouble(CHECK, seen)
        return
    for caution in seen.warnings:
        yield warning(CHECK, f"{caution.text}.", caution.remedy)
    if seen.has_server:
        yield problem(
            CHECK,
            '"server" is set, and this version cannot use a maestro server.',
            'Set "postgres" instead, or neither.',
        )
    elif not seen.warnings:
        yield ok(CHECK, _in_words(seen))


def _in_words(seen: Configured) -> str:
    over = f"; {human.listed(seen.variables)} in the environment" if seen.variables else ""
    if seen.path is None:
        return f"no file, so everything has its default (it would be ~/{FILE_NAME}){over}"
    who = "readable by others" if seen.mode & 0o044 else "readable by you alone"
    return f"{seen.path}, {who}{over}"


def short(path: Path) -> str:
    """Write the home folder as ~."""
    return with_tilde(str(path))
