"""A database's contents as one file, and back, by PostgreSQL's own pg_dump and pg_restore."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from orchestra.domain.errors import AlreadyExists, BadInput, DatabaseUnavailable, VolumeError
from orchestra.store import pginstall
from orchestra.store.database import SCHEMA

_MAGIC = b"PGDMP"


def dump(url: str, path: Path) -> int:
    """Write our schema to a new file and give its size in bytes. The file appears when it is whole.

    Raises:
        AlreadyExists: the file is there.
        VolumeError: it cannot be written.
        DatabaseUnavailable: pg_dump does not succeed; the sentence says what it said.
    """
    if path.exists():
        raise AlreadyExists(f"{path} exists already.", hint="Name another file.")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        beside.touch(mode=0o600, exist_ok=False)
    except OSError as error:
        raise VolumeError(f"{path} cannot be written: {error.strerror}.") from error
    try:
        _run("pg_dump", url, ["--format=custom", f"--schema={SCHEMA}", f"--file={beside}"])
        try:
            os.link(beside, path)  # unlike a rename, it overwrites nothing
        except FileExistsError:
            raise AlreadyExists(f"{path} exists already.", hint="Name another file.") from None
        except OSError:
            os.replace(beside, path)  # a file system without links
        return path.stat().st_size
    finally:
        beside.unlink(missing_ok=True)


def check_is_dump(path: Path) -> None:
    """Make sure that a file is what `dump` wrote.

    Raises:
        BadInput: it is something else.
        VolumeError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_MAGIC))
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.") from error
    if head != _MAGIC:
        raise BadInput(f"{path} is no dump of a database.", hint="maestro db dump FILE makes one.")


def restore(url: str, path: Path) -> None:
    """Put a dump in the place of our schema: all of it or, when something is wrong, nothing.

    Raises:
        BadInput: the file is no dump.
        VolumeError: it cannot be read.
        DatabaseUnavailable: pg_restore does not succeed; the sentence says what it said.
    """
    check_is_dump(path)
    flags = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--no-owner"]
    _run("pg_restore", url, [*flags, str(path.absolute())])


def _run(program: str, url: str, arguments: list[str]) -> None:
    parts: dict[str, Any] = conninfo_to_dict(url)
    # Not among the arguments: everybody can read those.
    password = parts.pop("password", None)
    environment = {"PGPASSWORD": str(password)} if password else {}
    environment["HOME"] = os.environ.get("HOME", "/")  # for ~/.pgpass and certificates
    address = make_conninfo(**parts)
    done = pginstall.of_the_wheel().run(
        program, [f"--dbname={address}", "--no-password", *arguments], environment=environment
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error:" in line]
        said = (lines or done.stderr.splitlines() or ["it said nothing"])[0]
        raise DatabaseUnavailable(f"{program} did not succeed: {said.rpartition('error: ')[2]}")
