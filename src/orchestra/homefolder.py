"""The home folder, which accounts in containers may not have, and folders in it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from orchestra.domain.errors import BadInput


def home_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the home folder by $HOME, else by the account's entry in passwd; None if neither names one.

    Docker sets HOME to / for an account without an entry, and only root can write there.
    """
    home = Path(environ.get("HOME") or _entry())
    if not home.is_absolute() or (home == Path("/") and os.geteuid()):
        return None
    return home


def _entry() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return ""


def why_none() -> str:
    """Return why there is no home folder."""
    return f"no home folder is known (no HOME, and no entry for uid {os.geteuid()} in passwd)"


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return a path with ~ replaced by the home folder.

    Raises:
        BadInput: no home folder is known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f'"{os.fspath(path)}" cannot be found: no home folder is known for ~.',
            hint="Give the full path, or set HOME.",
        ) from None


def make_own(folder: Path, mode: int) -> None:
    """Create a folder and its parents. Only the owner can write to the new ones, whatever the umask is.

    Raises:
        OSError: it cannot be created.
    """
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(mode=mode, exist_ok=True)
