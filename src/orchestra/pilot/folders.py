"""The folders of attempts on the volume: made, linked to, looked at. Runs in I/O threads, since a volume can hang."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from orchestra.domain.errors import VolumeError
from orchestra.domain.models import JobPaths

_FULL = {
    errno.ENOSPC: "the volume has no room left",
    errno.EDQUOT: "the quota on the volume is used up",
}


def open_attempt(volume: str, paths: JobPaths, folder_number: int, *, new: bool) -> int:
    """Make an attempt's folder and open its log for appending; gives the log's descriptor.

    Args:
        volume: has to be there: a volume that is not mounted must not be filled below its mount point.
        new: the folder must not exist yet. Its number is the attempt's own, so one that does belongs to somebody
            else's attempt.

    Raises:
        VolumeError: with one sentence for the user.
    """
    folder = Path(paths.attempt(folder_number))
    if not Path(volume).is_dir():
        raise VolumeError(f"the volume {volume} is not there on this node")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(exist_ok=not new)
    except FileExistsError as error:
        if error.filename == str(folder):
            raise VolumeError(
                f"{folder} exists already, though this attempt has never run: "
                "another task or another cluster writes there"
            ) from None
        raise VolumeError(f"{error.filename} is in the way: it is no folder") from None
    except OSError as error:
        raise _trouble("cannot make", folder, error) from error
    log = Path(paths.log(folder_number))
    try:
        return os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise _trouble("cannot open", log, error) from error


def point_link(paths: JobPaths, folder_number: int) -> None:
    """Have the job's link point at an attempt's folder, unless it points at a later one. Never a moment without it.

    Raises:
        VolumeError: something else stands in its place, or it cannot be written.
    """
    link = Path(paths.link)
    current = linked_number(paths)
    if current is not None and current >= folder_number:
        return
    target = Path(paths.attempt(folder_number)).relative_to(paths.task_folder)
    beside = link.with_name(f".{link.name}.{folder_number}.{os.getpid()}")
    try:
        if current is None and os.path.lexists(link) and not link.is_symlink():
            raise VolumeError(f"{link} is in the way: it is no link of Orchestra")
        with suppress(FileNotFoundError):
            beside.unlink()
        beside.symlink_to(target)
        os.replace(beside, link)
    except OSError as error:
        raise _trouble("cannot link", link, error) from error


def linked_number(paths: JobPaths) -> int | None:
    """Give the number of the attempt whose folder the job's link points at; None if there is no such link or folder."""
    try:
        target = Path(paths.link).readlink()
        Path(paths.link).stat()
    except OSError:
        return None
    if target.parent != Path(paths.attempts).relative_to(paths.task_folder):
        return None
    return int(target.name) if target.name.isdecimal() else None


def has_file(folder: Path, name: str) -> bool:
    """Whether an attempt left the file that says "complete"."""
    return (folder / name).exists()


def tail(log: Path, limit: int) -> tuple[int | None, bytes | None]:
    """Give the size of a log and its last bytes, at most `limit`; nothing for one that cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return size, file.read(limit)
    except OSError:
        return None, None


def _trouble(what: str, path: Path, error: OSError) -> VolumeError:
    words = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return VolumeError(f"{_FULL[error.errno]}: {what} {path} ({words})")
    return VolumeError(f"{what} {path}: {words}")
