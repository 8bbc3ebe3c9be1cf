"""The folders of a task's attempts: their size, other files beside them, and their removal.

Symlinks are never followed: every folder is opened relative to its parent, and a symlink in place of a folder is left
alone.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from orchestra.domain.errors import VolumeError
from orchestra.files import config_links, fs_health, tree_removal
from orchestra.files.tree_removal import Removal

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ATTEMPTS = ".attempts"

Progress = Callable[[int], None]
Recorded = frozenset[tuple[int, int]]
"""(index, folder number) of attempts."""


@dataclass(slots=True)
class Survey:
    """What is below a task's folder: recorded attempts with their size, and what Orchestra did not create."""

    folders: int = 0
    files: int = 0
    bytes: int = 0
    foreign: list[str] = field(default_factory=list)


def survey(folder: str, recorded: Recorded, *, progress: Progress | None = None) -> Survey:
    """Survey a task's folder before something in it is removed. A missing folder counts as empty.

    Raises:
        VolumeError: a folder cannot be read.
    """
    fs_health.check(folder)
    found = Survey()
    try:
        with _opened(folder) as top:
            if top is not None:
                _survey_top(top, recorded, found, progress)
    except OSError as error:
        raise VolumeError(f"{folder} cannot be read: {error.strerror or error}.") from None
    return found


def _survey_top(top: int, recorded: Recorded, found: Survey, progress: Progress | None) -> None:
    for name in sorted(os.listdir(top)):
        if name == config_links.BY_CONFIG:
            found.foreign += config_links.foreign(top)
        elif name != _ATTEMPTS and not _is_our_link(top, name):
            found.foreign.append(name)
    with _opened(_ATTEMPTS, top) as attempts:
        if attempts is None:
            if _exists(top, _ATTEMPTS):
                found.foreign.append(_ATTEMPTS)
            return
        for name in sorted(os.listdir(attempts)):
            _survey_job(attempts, name, recorded, found)
            if progress:
                progress(1)


def _survey_job(attempts: int, name: str, recorded: Recorded, found: Survey) -> None:
    index = _index(name)
    with _opened(name, attempts) as job:
        if job is None or index is None:
            found.foreign.append(f"{_ATTEMPTS}/{name}")
            return
        for number in os.listdir(job):
            is_ours = number.isdecimal() and (index, int(number)) in recorded
            if is_ours and _is_folder(job, number):
                found.folders += 1
                for size in _sizes(job, number):
                    found.files += 1
                    found.bytes += size
            else:
                found.foreign.append(f"{_ATTEMPTS}/{name}/{number}")


@dataclass(slots=True)
class Removed(Removal):
    """The result of removing attempts: how many folders were removed, and how many are left, wholly or in part."""

    folders: int = 0
    left_attempts: int = 0


def remove(
    folder: str, recorded: Iterable[tuple[int, int]], *, progress: Progress | None = None
) -> Removed:
    """Remove the folders of attempts, and symlinks that are then dangling. What cannot be removed is left.

    Raises:
        VolumeError: the task's folder cannot be looked into.
    """
    try:
        removed = remove_attempts(folder, sorted(recorded), progress=progress)
        remove_links(folder)
    except OSError as error:
        raise VolumeError(
            f"not all of {folder} could be removed: {error.strerror or error}"
            + (f" ({error.filename})." if error.filename else "."),
            hint="Fix that and repeat the command: it continues with what is left.",
        ) from None
    return removed


def remove_attempts(
    folder: str, recorded: Iterable[tuple[int, int]], *, progress: Progress | None = None
) -> Removed:
    """Remove the folders of attempts, and parents that are then empty. Continue past what cannot be removed.

    Raises:
        OSError: the task's folder cannot be looked into.
    """
    found = Removed()
    with _opened(folder) as top, _opened(_ATTEMPTS, top) as attempts:
        for index, number in recorded if attempts is not None else ():
            path = f"{folder}/{_ATTEMPTS}/{_job_name(index)}"
            try:
                _remove_one(attempts, _job_name(index), str(number), path, found)
            except OSError as error:
                found.left_attempts += 1
                found.note(path, error)
            if progress:
                progress(1)
    return found


def _remove_one(
    attempts: int | None, job_name: str, number: str, path: str, found: Removed
) -> None:
    with _opened(job_name, attempts) as job:
        if job is None or not _is_folder(job, number):
            return
        if tree_removal.remove(number, job, f"{path}/{number}", found):
            found.folders += 1
        else:
            found.left_attempts += 1
    _remove_if_empty(job_name, attempts)


def remove_links(folder: str) -> int:
    """Remove dangling symlinks to results, and folders that are then empty."""
    removed = 0
    with _opened(folder) as top:
        if top is None:
            return 0
        for name in os.listdir(top):
            if _is_our_link(top, name) and not _leads_somewhere(top, name):
                os.unlink(name, dir_fd=top)
                removed += 1
        config_links.remove_dangling(top)
        _remove_if_empty(_ATTEMPTS, top)
    _remove_if_empty(folder, None)
    return removed


@contextmanager
def _opened(name: str, parent: int | None = None) -> Iterator[int | None]:
    """Open a folder; yield its descriptor, or None if it does not exist or is a symlink."""
    if parent is None and not name.startswith("/"):
        yield None
        return
    try:
        opened = os.open(name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        yield None
        return
    try:
        yield opened
    finally:
        os.close(opened)


def _sizes(parent: int, name: str) -> Iterator[int]:
    """Yield the sizes of files. What cannot be read, or is too deep, is not counted."""
    with suppress(OSError, RecursionError):
        for _path, _folders, files, at in os.fwalk(name, dir_fd=parent, follow_symlinks=False):
            for file in files:
                with suppress(OSError):
                    yield os.stat(file, dir_fd=at, follow_symlinks=False).st_size


def _is_our_link(top: int, name: str) -> bool:
    if _index(name) is None:
        return False
    try:
        target = os.readlink(name, dir_fd=top)
    except OSError:
        return False
    return re.fullmatch(rf"(?:.*/)?{re.escape(f'{_ATTEMPTS}/{name}')}/[0-9]+/?", target) is not None


def _leads_somewhere(top: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=top)
    except OSError:
        return False
    return True


def _is_folder(parent: int, name: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _exists(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _remove_if_empty(name: str, parent: int | None) -> None:
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        pass  # it contains something that is not ours, which stays


def _job_name(index: int) -> str:
    return f"job_configId_{index}"


def _index(name: str) -> int | None:
    found = re.fullmatch(r"job_configId_([0-9]+)", name)
    return int(found[1]) if found else None
