"""Dumps of the schema, of the embedded database or any other: in pg_dump's own format, in one private file each."""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

from orchestra.domain.errors import AlreadyExists, BadInput, DatabaseUnavailable, VolumeError
from orchestra.domain.wording import Action, Sentence, words
from orchestra.store.driver.database import SCHEMA, WIRE, check_address, connect
from orchestra.store.driver.sql import load
from orchestra.store.postgres.program_search import find

LOCK_TIMEOUT = "10s"
PATIENCE = {"pg_dump": 60.0, "psql": 600.0}
"""Seconds for which a program may be idle. pg_dump is never idle for long; building an index on a large table is."""

_SQL = load("postgres/dump")
# psql prints the code of a server's message, which may be in any language.
_LOCKED = ":  55P03: "
_INFORMATIVE = re.compile(r":  [0-9A-Z]{5}: |(?:error|ERROR|FATAL): *")
_OURS = f" TABLE DATA {SCHEMA} schema_migration "


def dump(url: str, path: Path, *, snapshot: str | None = None) -> int:
    """Dump everything that Orchestra stores in a database to a new file, and return its size in bytes.

    The dump is consistent (as of `snapshot`, an exported one, if given); work goes on meanwhile. The file is complete
    or does not exist.

    Raises:
        AlreadyExists: there is such a file.
        VolumeError: it cannot be written.
        DatabaseUnavailable: the database cannot be read.
    """
    if path.exists():
        raise AlreadyExists(f"{path} exists already.", hint="Name another file.")
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        # created here, so that an unwritable folder is reported here, not by pg_dump
        os.close(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _run(
            "pg_dump",
            url,
            "--format=custom",
            f"--schema={SCHEMA}",
            "--no-owner",
            f"--file={beside.absolute()}",
            *([f"--snapshot={snapshot}"] if snapshot else []),
        )
        size = beside.stat().st_size
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        raise VolumeError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        beside.unlink(missing_ok=True)
    return size


class _UnknownRole(DatabaseUnavailable):
    """A dump grants rights to a role that this server does not have."""

    code = "unknown_role"


def restore(url: str, path: Path) -> None:
    """Replace everything that Orchestra stores in a database by a dump, in one transaction.

    The rights of roles are restored where the server has all of these roles, else none of them: the dump of a lab
    can be restored anywhere.

    Raises:
        BadInput: the file is not a dump of Orchestra.
        DatabaseUnavailable: there is no such database, or it is in use; nothing was changed.
    """
    check_is_dump(path)
    try:
        _restore(url, path)
    except _UnknownRole:
        _restore(url, path, "--no-privileges")


def _restore(url: str, path: Path, *options: str) -> None:
    with tempfile.TemporaryDirectory(prefix="orchestra-restore-") as scratch:
        # Into a file first: if pg_restore failed in the middle of a pipe, psql would commit what it has.
        script = Path(scratch, "restore.sql")
        _run("pg_restore", None, "--no-owner", *options, f"--file={script}", str(path.absolute()))
        _leave_out_unknown_settings(script, _settings_known_to(url))
        _run(
            *(
                "psql",
                url,
                "--no-psqlrc",
                "--quiet",
                "--single-transaction",
                "--set=ON_ERROR_STOP=1",
                "--set=VERBOSITY=verbose",
            ),
            *(f"--command={_SQL.make_room}", f"--file={script}"),
        )


def _settings_known_to(url: str) -> set[str]:
    with connect(url, name="maestro db restore") as conn:
        return {row[0] for row in conn.execute(_SQL.settings)}


def _leave_out_unknown_settings(script: Path, known: set[str]) -> None:
    """Comment out the lines at the start of a script that set what an older server does not know."""
    with script.open("r+b") as file:
        while (line := file.readline()) and re.match(rb"SET |--|\\|\s*$", line):
            setting = re.match(rb"SET (\w+) = ", line)
            if setting and setting[1].decode() not in known:
                file.seek(-len(line), os.SEEK_CUR)
                file.write(b"-- ")  # in place of SET
                file.readline()


def check_is_dump(path: Path) -> None:
    """Check that a file was written by `dump`.

    Raises:
        BadInput: it was not, or does not exist.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist, or is not a file.")
    done = find().run("pg_restore", ["--list", path.absolute()])
    if done.returncode or _OURS not in done.stdout:
        raise BadInput(
            f"{path} is not a dump of Orchestra's database.",
            hint=words(Action.DUMP_DATABASE, " creates one."),
        )


def _run(program: str, url: str | None, *arguments: str) -> None:
    environment: dict[str, str] = {}
    if url is not None:
        address = check_address(url)
        # Not in the arguments, which every user of the machine can read.
        if password := address.pop("password", None):
            environment["PGPASSWORD"] = password
        environment["PGOPTIONS"] = f"-c lock_timeout={LOCK_TIMEOUT}"
        arguments = (
            f"--dbname={make_conninfo(**{**WIRE, 'connect_timeout': '5', **address})}",
            *arguments,
        )
    done = find().run(program, arguments, environment=environment, patience=PATIENCE.get(program))
    if done.returncode:
        unknown_role = re.search(r":  42704: role ", done.stderr)
        error = _UnknownRole if unknown_role else DatabaseUnavailable
        raise error(_explain(program, done.stderr))


def _explain(program: str, said: str) -> Sentence:
    if _LOCKED in said:
        return words(
            "the database is in use, so it was left as it is: stop the pilots first (",
            Action.STOP_ALL,
            ").",
        )
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    informative = [line for line in lines if _INFORMATIVE.search(line)]
    chosen = (informative or lines or ["it printed nothing"])[0]
    return f"{program}: {re.sub(f'^.*?(?:{_INFORMATIVE.pattern})', '', chosen)}."
