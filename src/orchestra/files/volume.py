"""Checks of a volume on the creator's machine: a writable folder, and a free folder for the task."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from orchestra.domain.errors import VolumeError
from orchestra.domain.wording import Field, words
from orchestra.files import fs_health

_ANOTHER = words("Use ", Field.VOLUME, " to name another one.")


def check_volume(volume: str, *, dry: bool = False) -> None:
    """Refuse a volume that is not writable. A temporary file is created, unless `dry`.

    Raises:
        VolumeError: it is not a folder, or is not writable.
    """
    fs_health.check(volume)
    path = Path(volume)
    if not os.path.isdir(volume):  # noqa: PTH112 - pathlib raises where a name is too long
        what = "is not a folder" if os.path.lexists(volume) else "does not exist"
        raise VolumeError(f"the volume {volume} {what}.", hint=_ANOTHER)
    try:
        if dry:
            if not os.access(path, os.W_OK | os.X_OK):
                raise PermissionError("Permission denied")
        else:
            with tempfile.TemporaryFile(dir=path, prefix=".orchestra-trial-"):
                pass
    except OSError as error:
        raise VolumeError(
            f"the volume {volume} is not writable: {error.strerror or error}.",
            hint=_ANOTHER,
        ) from None


def check_task_folder(folder: str, *, reuse: bool) -> None:
    """Refuse a task's folder that is not empty, unless it is to be reused.

    Raises:
        VolumeError: it is not empty, is not a folder, or cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            occupied = next(entries, None) is not None
    except FileNotFoundError:
        return
    except OSError as error:
        raise VolumeError(f"{folder} cannot be used: {error.strerror or error}.") from None
    if occupied and not reuse:
        raise VolumeError(
            f"{folder} already exists and is not empty.",
            hint=words(
                "Use another name or ",
                Field.VOLUME,
                ", or ",
                Field.REUSE(True),
                " to keep what is there and write beside it.",
            ),
        )


def highest_attempt(folder: str) -> int:
    """The highest number of an attempt's folder in a task's folder, or 0.

    A task that reuses the folder continues from there, so that no new attempt gets an old folder.
    """
    highest = 0
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{folder}/.attempts") as jobs:
        for job in jobs:
            if job.is_dir(follow_symlinks=False):
                numbers = (int(name) for name in os.listdir(job.path) if name.isdecimal())
                highest = max(highest, *numbers, 0)
    return highest
