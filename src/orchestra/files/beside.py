"""Files that are replaced atomically: written beside their place, then renamed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

from orchestra.domain.errors import Refused, VolumeError
from orchestra.domain.wording import Field, words

_MARKED_WITHIN = 500
"""Bytes at the beginning of a file in which its mark is looked for."""


def write_beside(path: Path, work: Any) -> None:
    """Let `work` write a temporary file beside `path`, then rename it.

    Raises:
        VolumeError: it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.is_dir():
            raise VolumeError(f"{path} is a folder, not a file.")
        with beside.open("wb") as file:
            work(file)
        os.replace(beside, path)
    except OSError as error:
        raise VolumeError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        beside.unlink(missing_ok=True)


def write_marked(path: Path, content: bytes, mark: bytes) -> None:
    """Write a file that has a mark near its beginning; another file of that name is not replaced if it has none.

    Raises:
        Refused: there is a file without the mark, somebody else's.
        VolumeError: it cannot be written.
    """
    if not path.is_dir() and not _has_mark(path, mark):
        raise Refused(
            f"{path} exists and is not a report, so it is not replaced.",
            hint=words(Field.FILE("NAME.html"), " writes another file."),
        )
    write_beside(path, lambda file: file.write(content))


def _has_mark(path: Path, mark: bytes) -> bool:
    """Whether a file has the mark, or does not exist. Only regular files are opened."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            return mark in file.read(_MARKED_WITHIN)
    except FileNotFoundError:
        return not path.is_symlink()
    except OSError as error:
        raise VolumeError(f"{path} cannot be read: {error.strerror}.") from None
