"""The folders of attempts on the volume: made, linked to, looked at. Runs in I/O threads, since a volume can hang."""

# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH114, PTH115, PTH116, PTH120, PTH211
# All of this happens for each job, and pathlib takes longer than the system calls do.

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from uuid import uuid4

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import LOG, JobPaths

# Not blocking: nobody waits for a pipe's other end, should one be put there just now.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
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
    folder = JobPaths.folder(str(paths.task_folder), paths.index, folder_number)
    if not os.path.isdir(volume):
        raise VolumeError(f"the volume {volume} is not there on this node")
    try:
        _make_folder(os.path.dirname(folder), new=False)
        _make_folder(folder, new=new)
    except FileExistsError as error:
        if error.filename == folder:
            raise VolumeError(
                f"{folder} exists already, though this attempt has never run: "
                "another task or another cluster writes there"
            ) from None
        raise VolumeError(f"{error.filename} is in the way: it is no folder") from None
    except OSError as error:
        raise _trouble("cannot make", folder, error) from error
    log = f"{folder}/{LOG}"
    try:
        return _open_log(log, new=new)
    except OSError as error:
        raise _trouble("cannot open", log, error) from error


def _open_log(log: str, *, new: bool) -> int:
    """Open a log. What an earlier attempt in the same folder has put in its place, a link or a pipe, is moved aside."""
    if not new:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(log).st_mode):
                os.rename(log, f"{log}.{uuid4().hex[:8]}")
    descriptor = os.open(log, _APPEND, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def _make_folder(folder: str, *, new: bool) -> None:
    """Make a folder and those above it. Raises FileExistsError where it has to be new, or something else is there."""
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=not new)
    except FileExistsError:
        if new or not os.path.isdir(folder):
            raise


def resolved(folder: str, log: int) -> str:
    """Give an attempt's folder with every link resolved, by the open log in it: the kernel knows where that is."""
    found = os.readlink(f"/proc/self/fd/{log}")
    real, name = os.path.split(found)
    own_name = name == LOG and real.endswith(folder[folder.rindex("/") :])
    return real if own_name and real.startswith("/") else os.path.realpath(folder)


def point_link(paths: JobPaths, folder_number: int) -> None:
    """Have the job's link point at an attempt's folder, unless it points at a later one. Never a moment without it.

    Raises:
        VolumeError: something else stands in its place, or it cannot be written.
    """
    link = str(paths.link)
    current = linked_number(paths)
    if current is not None and current >= folder_number:
        return
    target = f"{paths.attempts}/{folder_number}"
    try:
        if current is not None or not _link_where_nothing_is(target, link):
            _replace_link(target, link, folder_number, is_ours=current is not None)
    except OSError as error:
        raise _trouble("cannot link", link, error) from error


def _link_where_nothing_is(target: str, link: str) -> bool:
    try:
        os.symlink(target, link)
    except FileExistsError:
        return False
    return True


def _replace_link(target: str, link: str, folder_number: int, *, is_ours: bool) -> None:
    if not is_ours and os.path.lexists(link) and not os.path.islink(link):
        raise VolumeError(f"{link} is in the way: it is no link of Orchestra")
    folder, name = os.path.split(link)
    beside = f"{folder}/.{name}.{folder_number}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    os.symlink(target, beside)
    os.replace(beside, link)


def linked_number(paths: JobPaths) -> int | None:
    """Give the number of the attempt whose folder the job's link points at; None if there is no such link or folder."""
    link = str(paths.link)
    try:
        parent, _, name = os.readlink(link).rpartition("/")
        os.stat(link)
    except OSError:
        return None
    if parent != paths.attempts:
        return None
    return int(name) if name.isdecimal() else None


def _trouble(what: str, path: str, error: OSError) -> VolumeError:
    words = (error.strerror or str(error)).lower()
    if error.errno in _FULL:
        return VolumeError(f"{_FULL[error.errno]}: {what} {path} ({words})")
    return VolumeError(f"{what} {path}: {words}")
