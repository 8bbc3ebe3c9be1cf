"""The volume as a task's creator finds it: is it a folder, can it be written, is the task's own folder free?"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from orchestra.domain.errors import VolumeError
from orchestra.domain.wording import Field, words
from orchestra.files import fs_health

_ANOTHER = words(Field.VOLUME, " names another one.")


def check_volume(volume: str, *, dry: bool = False) -> None:
    """Refuse a volume in which no task can write. A file is made and removed again, unless `dry`.

    Raises:
        VolumeError: it is no folder, or nothing can be written there.
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
            f"nothing can be written on the volume {volume}: {error.strerror or error}.",
            hint=_ANOTHER,
        ) from None


def check_task_folder(folder: str, *, reuse: bool) -> None:
    """Refuse a task's folder with something in it, unless it is to be used again.

    Raises:
        VolumeError: it holds something already, is no folder, or cannot be looked into.
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
            f"{folder} exists already and is not empty.",
            hint=words(
                Field.REUSE(True),
                " writes beside what is there and deletes nothing; another name or ",
                Field.VOLUME,
                " avoids it.",
            ),
        )


def highest_attempt(folder: str) -> int:
    """Give the highest number of an attempt's folder below a task's folder, 0 where there is none.

    A task that reuses the folder counts on from there, so that no new attempt gets an old one's folder.
    """
    highest = 0
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(f"{folder}/.attempts") as jobs:
        for job in jobs:
            if job.is_dir(follow_symlinks=False):
                numbers = (int(name) for name in os.listdir(job.path) if name.isdecimal())
                highest = max(highest, *numbers, 0)
    return highest
