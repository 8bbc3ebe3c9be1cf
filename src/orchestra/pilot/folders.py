"""The folders of attempts on the volume: creating them and pointing symlinks at them. Runs in I/O threads."""

# ruff: noqa: PTH102, PTH103, PTH104, PTH108, PTH112, PTH114, PTH115, PTH116, PTH120, PTH211
# All of this runs for each job, and pathlib takes longer than the system calls.

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from uuid import uuid4

from orchestra.domain.errors import VolumeError
from orchestra.domain.models.jobs import LOG, JobPaths

# Not blocking, in case the log is replaced by a pipe at this moment, whose other end nobody opens.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FULL = {
    errno.ENOSPC: "the volume has no space left",
    errno.EDQUOT: "the quota on the volume is used up",
}


def open_attempt(volume: str, paths: JobPaths, folder_number: int, *, new: bool) -> int:
    """Create an attempt's folder and open its log for appending; return the log's descriptor.

    Args:
        volume: must exist: below the mount point of a volume that is not mounted, nothing may be created.
        new: the folder must not exist yet. Its number belongs to this attempt, so an existing one is from another task
            or cluster.

    Raises:
        VolumeError: with one sentence for the user.
    """
    folder = JobPaths.folder(str(paths.task_folder), paths.index, folder_number)
    if not os.path.isdir(volume):
        raise VolumeError(f"the volume {volume} is missing on this node")
    try:
        _make_folder(os.path.dirname(folder), new=False)
        _make_folder(folder, new=new)
    except FileExistsError as error:
        if error.filename == folder:
            raise VolumeError(
                f"{folder} exists already, though this attempt has never run: "
                "another task or another cluster writes there"
            ) from None
        raise VolumeError(f"{error.filename} is in the way: it is not a folder") from None
    except OSError as error:
        raise _trouble("cannot make", folder, error) from error
    log = f"{folder}/{LOG}"
    try:
        return _open_log(log, new=new)
    except OSError as error:
        raise _trouble("cannot open", log, error) from error


def _open_log(log: str, *, new: bool) -> int:
    """Open a log. A symlink or pipe that an earlier attempt in the same folder has put in its place is renamed."""
    if not new:
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(os.lstat(log).st_mode):
                os.rename(log, f"{log}.{uuid4().hex[:8]}")
    descriptor = os.open(log, _APPEND, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def _make_folder(folder: str, *, new: bool) -> None:
    """Create a folder and its parents. Raises FileExistsError if it must be new, or is not a folder."""
    try:
        os.mkdir(folder)
    except FileNotFoundError:
        os.makedirs(folder, exist_ok=not new)
    except FileExistsError:
        if new or not os.path.isdir(folder):
            raise


def resolved(folder: str, log: int) -> str:
    """Return an attempt's folder with every symlink resolved, from the kernel's path of the open log in it."""
    found = os.readlink(f"/proc/self/fd/{log}")
    real, name = os.path.split(found)
    own_name = name == LOG and real.endswith(folder[folder.rindex("/") :])
    return real if own_name and real.startswith("/") else os.path.realpath(folder)


def point_link(paths: JobPaths, folder_number: int) -> None:
    """Point the job's symlink at an attempt's folder, unless it points at a later one. Replaced atomically.

    Raises:
        VolumeError: there is another file of its name, or it cannot be written.
    """
    link = str(paths.link)
    current = linked_number(paths)
    if current is not None and current >= folder_number:
        return
    target = f"{paths.attempts}/{folder_number}"
    try:
        if current is not None or not _create_link(target, link):
            _replace_link(target, link, folder_number, is_ours=current is not None)
    except OSError as error:
        raise _trouble("cannot link", link, error) from error


def _create_link(target: str, link: str) -> bool:
    try:
        os.symlink(target, link)
    except FileExistsError:
        return False
    return True


def _replace_link(target: str, link: str, folder_number: int, *, is_ours: bool) -> None:
    if not is_ours and os.path.lexists(link) and not os.path.islink(link):
        raise VolumeError(f"{link} is in the way: it is not a link of Orchestra")
    folder, name = os.path.split(link)
    beside = f"{folder}/.{name}.{folder_number}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(beside)
    os.symlink(target, beside)
    os.replace(beside, link)


def linked_number(paths: JobPaths) -> int | None:
    """Return the number of the attempt that the job's symlink points at; None if there is no such symlink or folder."""
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
