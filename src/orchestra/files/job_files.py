"""Safely opening files that a job wrote: only regular files below its attempt's folder, never through symlinks.

A job, or anyone who can write to its folder, can replace a file with a symlink to a file that only the reader may read,
a pipe on which the reader waits forever, or a device. So every folder from the task's on is opened relative to its
parent without following symlinks; only the volume may be one. A file is inspected through its descriptor before it is
opened, so that it cannot be replaced in between.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_OWN_PARTS = 4
"""The last parts of an attempt's folder, below the volume: TASK/.attempts/job_configId_N/K."""


class Untrusted(OSError):
    """The file is not safe to open. `strerror` says why and follows the file's name."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.ELOOP, why)


def open_file(folder: str, name: str) -> int:
    """Open a file that a job wrote for reading; return a descriptor.

    Args:
        folder: the attempt's.
        name: the file's path below it.

    Raises:
        Untrusted: a symlink is in the path, it is not a regular file, or it may belong to someone else.
        OSError: it does not exist, or cannot be read.
    """
    with inspected(folder, name) as (descriptor, facts):
        if not stat.S_ISREG(facts.st_mode):
            raise Untrusted("is not a regular file")
        return os.open(f"/proc/self/fd/{descriptor}", _READ)


def exists(folder: str, name: str) -> bool:
    """Whether a job left a file, or a folder, of that name.

    Raises:
        Untrusted: a symlink is in the path, it is a pipe or a device, or it may belong to someone else.
        OSError: it cannot be inspected.
    """
    try:
        with inspected(folder, name) as (_, facts):
            if not stat.S_ISREG(facts.st_mode) and not stat.S_ISDIR(facts.st_mode):
                raise Untrusted("is not a regular file")
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def open_own_file(folder: str, name: str, *, root: str = "", owner: int | None = None) -> int:
    """Open a file that is a job's own beyond doubt, to show it to people who may not read it themselves.

    It has one name, and belongs to the account that ran the job, as does the attempt's folder.

    Args:
        root: a folder above the attempt's, below which no symlink is followed; by default that is the volume.
        owner: the id of that account; by default that of the folder's owner.

    Raises:
        Untrusted: a symlink is in the path, it is not a regular file, or it may be someone else's.
        OSError: it does not exist, or cannot be read.
    """
    with attempt_folder(folder, root) as top, _opened(name, top) as descriptor:
        facts, above = os.fstat(descriptor), os.fstat(top)
        if not stat.S_ISREG(facts.st_mode):
            raise Untrusted("is not a regular file")
        if facts.st_nlink != 1:
            raise Untrusted("has another name elsewhere and may be someone else's file")
        if {facts.st_uid, above.st_uid} != {above.st_uid if owner is None else owner}:
            raise Untrusted("belongs to another account than the one that ran the job")
        return os.open(f"/proc/self/fd/{descriptor}", _READ)


@contextmanager
def inspected(folder: str, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """Yield an O_PATH descriptor of what a job left, of any type, and its stat result.

    Raises:
        Untrusted: a symlink is in the path, or it may belong to someone else.
        OSError: it is not there.
    """
    *parents, last = _parts(name)
    with (
        attempt_folder(folder) as top,
        _below(top, parents) as parent,
        _opened(last, parent) as descriptor,
    ):
        facts = os.fstat(descriptor)
        _check_owner(facts, os.fstat(top))
        yield descriptor, facts


@contextmanager
def attempt_folder(folder: str, root: str = "") -> Iterator[int]:
    """Yield a descriptor of an attempt's folder.

    Args:
        root: the folder whose path may have symlinks; the volume unless a folder above it is given.

    Raises:
        Untrusted: one of the folders below the root is a symlink.
        OSError: it is not there.
    """
    volume, *own = folder.rstrip("/").rsplit("/", _OWN_PARTS)
    if root and len(own) == _OWN_PARTS:
        if not is_below(volume, root):
            raise Untrusted(f"is not below {root}")
        own = [*volume[len(root.rstrip("/")) :].split("/")[1:], *own]
        volume = root
    if len(own) < _OWN_PARTS or not set(own).isdisjoint(("", ".", "..")) or not _absolute(folder):
        raise Untrusted("is in no attempt's folder")
    top = os.open(volume or "/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _below(top, own) as found:
            yield found
    finally:
        os.close(top)


@contextmanager
def _below(top: int, names: Sequence[str]) -> Iterator[int]:
    """Open the folders one by one."""
    if not names:
        yield top
        return
    with _opened(names[0], top) as child:
        if not stat.S_ISDIR(os.fstat(child).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), names[0])
        with _below(child, names[1:]) as found:
            yield found


@contextmanager
def _opened(name: str, parent: int) -> Iterator[int]:
    descriptor = os.open(name, _LOOK, dir_fd=parent)
    try:
        if stat.S_ISLNK(os.fstat(descriptor).st_mode):
            raise Untrusted(f"is reached by a link ({name}), and links are not followed")
        yield descriptor
    finally:
        os.close(descriptor)


def is_below(folder: str, root: str) -> bool:
    """Whether a path is that of a folder or lies below it, by its text."""
    return f"{folder}/".startswith(f"{root.rstrip('/')}/")


def _parts(name: str) -> list[str]:
    parts = name.split("/")
    if not set(parts).isdisjoint(("", ".", "..")) or "\0" in name:
        raise Untrusted("is not a path below the job's folder")
    return parts


def _absolute(folder: str) -> bool:
    return folder.startswith("/") and "\0" not in folder


def _check_owner(facts: os.stat_result, top: os.stat_result) -> None:
    """Refuse a file that the owner of the attempt's folder may have taken from someone else by a hard link.

    Such a file belongs to another account and has several names; if the other names were removed, it belongs to the
    reader although the folder does not.
    """
    if facts.st_uid == top.st_uid or stat.S_ISDIR(facts.st_mode):
        return
    if facts.st_nlink > 1 or facts.st_uid == os.geteuid():
        raise Untrusted("belongs to another account than its folder and may be someone else's file")
