"""The home folder of who runs this, where there is one: accounts of containers may be numbers alone. Folders in it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from orchestra.domain.errors import BadInput


def home_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Give the home folder by $HOME, else by the account's entry; None where neither names one.

    Docker gives / to an account without an entry, where nobody but root may write.
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
    """Say why there is no home folder."""
    return f"no home folder is known (no HOME, and no entry of uid {os.geteuid()} in passwd)"


def expanded(path: str | os.PathLike[str]) -> Path:
    """Give a path with ~ read as the home folder.

    Raises:
        BadInput: that is not known.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f'"{os.fspath(path)}" cannot be found: the home folder that ~ stands for is not known.',
            hint="Give the full path, or set HOME.",
        ) from None


def make_own(folder: Path, mode: int) -> None:
    """Make a folder with those above it. Nobody else can write to what is made, whatever the umask says.

    Raises:
        OSError: it cannot be made.
    """
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755, exist_ok=True)
    folder.mkdir(mode=mode, exist_ok=True)
