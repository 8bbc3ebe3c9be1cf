"""A user's script: whether it can be run, and by what."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from orchestra.domain.errors import BadInput
from orchestra.domain.escaping import escaped
from orchestra.domain.nearest import nearest
from orchestra.domain.wording import Action, Field, words
from orchestra.files import fs_health, local_machine
from orchestra.files.listing import check_path_text, unreadable

_PYTHON = re.compile(r"python[0-9.]*")
_CONFIGS = (".json", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".csv", ".txt")
_ORDER = words("The script comes first: ", Action.RUN_SCRIPT)
_LONGEST_LINE = 256


@dataclass(frozen=True, slots=True)
class Script:
    """A script that can be run.

    Args:
        path: its absolute path.
        interpreter: the program that runs it, as a path or a name; None if it is executed itself.
        python: the active Python is to run it.
    """

    path: str
    interpreter: str | None = None
    python: bool = False


def find(
    typed: str, *, which: Callable[[str], str | None] = shutil.which, contained: bool = False
) -> Script:
    """Check the script that was typed, and find what runs it; `contained` if that is in a container image.

    Raises:
        BadInput: it is not a file, or nothing says what runs it.
    """
    path = local_machine.full_path(typed)
    check_path_text(path)
    fs_health.check(path)
    try:
        mode = Path(path).stat().st_mode
    except OSError as error:
        raise _not_found(typed, path, error, which) from None
    if stat.S_ISDIR(mode):
        raise BadInput(f"{escaped(typed)} is a folder, not a script.", hint=_ORDER)
    if not stat.S_ISREG(mode):
        raise BadInput(f"{escaped(typed)} is not a regular file.")
    if not os.access(path, os.R_OK):
        raise BadInput(f"{escaped(typed)} cannot be read: Permission denied.")
    if path.endswith(".py"):
        return Script(path, python=True)
    return _other(typed, path, _itself if contained else which)


def _itself(program: str) -> str:
    return program


def _other(typed: str, path: str, which: Callable[[str], str | None]) -> Script:
    line = _first_line(path)
    program = _program(line.split() if line else [])
    if program and "/" not in program and _PYTHON.fullmatch(program):
        return Script(path, python=True)
    if os.access(path, os.X_OK):
        return Script(path)
    if program and (found := which(program)):
        return Script(path, found)
    if path.endswith(_CONFIGS):
        raise BadInput(f"{escaped(typed)} is not a script.", hint=_ORDER)
    shown = shlex.quote(typed)
    command = f"PROGRAM {shown} -c %IN -o %OUT"
    if program:
        raise BadInput(
            f"{escaped(typed)} is to be run by {escaped(program)}, which was not found here.",
            hint=words("Name the program yourself: ", Action.RUN_COMMAND(command=command)),
        )
    raise BadInput(
        f"{escaped(typed)} is not executable, and its first line does not name a program that runs it (#!).",
        hint=words(
            f"chmod +x {shown} makes a program executable. To name one that reads it: ",
            Action.RUN_COMMAND(command=command),
        ),
    )


def _first_line(path: str) -> str | None:
    """Return what follows `#!` in the first line."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(_LONGEST_LINE)
    except OSError as error:
        raise unreadable(path, error) from error
    first = head.split(b"\n", 1)[0]
    return os.fsdecode(first[2:]).strip() if first.startswith(b"#!") else None


def _program(words: list[str]) -> str | None:
    """Return the program of an interpreter line: a path, or a name if env(1) is to find it."""
    if not words:
        return None
    if os.path.basename(words[0]) != "env":  # noqa: PTH119
        return words[0]
    return next((word for word in words[1:] if not word.startswith("-") and "=" not in word), None)


def _not_found(
    typed: str, path: str, error: OSError, which: Callable[[str], str | None]
) -> BadInput:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return unreadable(path, error)
    if os.path.islink(path):  # noqa: PTH114 - pathlib raises where a name is too long
        return BadInput(f"{escaped(typed)} is a dangling symlink.")
    if " " in typed or ("/" not in typed and which(typed)):
        command = typed if " " in typed else f"{typed} train.py"
        return BadInput(
            words(
                f"there is no script {escaped(typed)} here; a command is given with ",
                Field.COMMAND,
                ".",
            ),
            hint=words(Action.RUN_COMMAND(command=f"{escaped(command)} -c %IN -o %OUT")),
        )
    return BadInput(f"there is no script {escaped(typed)}.{suggestion(path)}")


def suggestion(path: str) -> str:
    """Return a question about what is beside an absolute path, and has nearly the same name; "" if nothing has."""
    folder, name = os.path.split(path.rstrip("/"))
    try:
        guess = nearest(name, os.listdir(folder))
    except OSError:
        return ""
    return f' Did you mean "{escaped(guess)}"?' if guess else ""
