"""Removing a folder with all that is in it, as far as it can go: what cannot is told, and the rest goes all the same.

Every folder is opened relative to its parent and without following links, so that a link which is put in a folder's
place while it is removed leads nowhere. What lies on another file system stays.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DEEP = 100
"""Folders within folders for which a descriptor each is open; what is deeper is moved up, and removed from there."""
_ELSEWHERE = "it is on another file system"
_REASONS = 20


@dataclass(slots=True)
class Removal:
    """What was removed, and what is left: files with their size, folders, and why, with an example of each reason."""

    bytes: int = 0
    left_files: int = 0
    left_bytes: int = 0
    left_folders: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.reasons

    def note(self, path: str, error: OSError | str) -> None:
        """Take in that something cannot go."""
        why = error if isinstance(error, str) else error.strerror or str(error)
        if why in self.reasons or len(self.reasons) < _REASONS:
            self.reasons.setdefault(why, path)


def remove(name: str, parent: int, path: str, found: Removal) -> bool:
    """Remove the folder `name` in `parent` with all that is in it; whether nothing of it is left.

    Args:
        path: what people call it.
        found: told of what was removed, and of what cannot be.
    """
    return _Work(os.fstat(parent).st_dev, found).folder(name, parent, path, 0)


@dataclass(slots=True)
class _Work:
    """`deep` are the folders that were moved to the top, by name and path; they go last."""

    device: int
    found: Removal
    top: int = -1
    deep: list[tuple[str, str]] = field(default_factory=list)

    def folder(self, name: str, parent: int, path: str, depth: int) -> bool:
        try:
            opened = _open(name, parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            return self._stays(path, error)
        try:
            if os.fstat(opened).st_dev != self.device:
                return self._stays(path, _ELSEWHERE)
            if depth == 0:
                self.top = opened
            self._empty(opened, path, depth)
            while depth == 0 and self.deep:
                moved, below = self.deep.pop()
                self.folder(moved, opened, below, 1)
        finally:
            os.close(opened)
        return self._remove_folder(name, parent, path)

    def _empty(self, folder: int, path: str, depth: int) -> None:
        try:
            entries = list(_entries(folder))
        except OSError as error:
            self.found.note(path, error)
            return
        for name, facts in entries:
            below = f"{path}/{name}"
            if not stat.S_ISDIR(facts.st_mode):
                self._file(name, folder, below, facts)
            elif depth < _DEEP:
                self.folder(name, folder, below, depth + 1)
            else:
                self._move_up(name, folder, below)

    def _move_up(self, name: str, parent: int, path: str) -> None:
        moved = f".removed-{uuid4().hex}"
        try:
            os.rename(name, moved, src_dir_fd=parent, dst_dir_fd=self.top)
        except OSError as error:
            self._stays(path, error)
        else:
            self.deep.append((moved, path))

    def _file(self, name: str, parent: int, path: str, facts: os.stat_result) -> None:
        try:
            os.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return
        except OSError as error:
            self.found.left_files += 1
            self.found.left_bytes += facts.st_size
            self.found.note(path, error)
        else:
            self.found.bytes += facts.st_size

    def _remove_folder(self, name: str, parent: int, path: str) -> bool:
        try:
            os.rmdir(name, dir_fd=parent)
        except FileNotFoundError:
            return True
        except OSError as error:
            # What is in it has said why; nothing is in it that was not told of, unless it came just now.
            known = error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not self.found.complete
            self.found.left_folders += 1
            if not known:
                self.found.note(path, error)
            return False
        return True

    def _stays(self, path: str, error: OSError | str) -> bool:
        self.found.left_folders += 1
        self.found.note(path, error)
        return False


def _open(name: str, parent: int) -> int:
    """Open a folder for what is in it; one's own that was closed to oneself is opened up."""
    look = os.open(name, _LOOK, dir_fd=parent)
    try:
        facts = os.fstat(look)
        if facts.st_uid == os.geteuid() and facts.st_mode & stat.S_IRWXU != stat.S_IRWXU:
            Path(f"/proc/self/fd/{look}").chmod(stat.S_IMODE(facts.st_mode) | stat.S_IRWXU)
        return os.open(".", _FOLDER, dir_fd=look)
    finally:
        os.close(look)


def _entries(folder: int) -> Iterator[tuple[str, os.stat_result]]:
    for name in os.listdir(folder):
        try:
            yield name, os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            continue
