"""Removing a folder recursively as far as possible; what cannot be removed is reported.

Every folder is opened relative to its parent without following symlinks, so that replacing a folder with a symlink
during the removal has no effect. What is on another file system stays.
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
"""Nested folders that are open at a time. Deeper ones are moved to the top and removed from there."""
_ELSEWHERE = "it is on another file system"
_REASONS = 20


@dataclass(slots=True)
class Removal:
    """What was removed, and what is left: files with their size, folders, and an example for each reason."""

    bytes: int = 0
    left_files: int = 0
    left_bytes: int = 0
    left_folders: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.reasons

    def note(self, path: str, error: OSError | str) -> None:
        """Record that something cannot be removed."""
        why = error if isinstance(error, str) else error.strerror or str(error)
        if why in self.reasons or len(self.reasons) < _REASONS:
            self.reasons.setdefault(why, path)


def remove(name: str, parent: int, path: str, found: Removal) -> bool:
    """Remove the folder `name` in `parent` recursively; return whether nothing of it is left.

    Args:
        path: its path for people.
        found: records what was removed and what could not be.
    """
    return _Work(os.fstat(parent).st_dev, found).folder(name, parent, path, 0)


@dataclass(slots=True)
class _Work:
    """`deep` are the folders moved to the top, by name and path; they are removed last."""

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
            return self._keep_folder(path, error)
        try:
            if os.fstat(opened).st_dev != self.device:
                return self._keep_folder(path, _ELSEWHERE)
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
            self._keep_folder(path, error)
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
            # The reasons of its contents were recorded, unless something was just added.
            known = error.errno in (errno.ENOTEMPTY, errno.EEXIST) and not self.found.complete
            self.found.left_folders += 1
            if not known:
                self.found.note(path, error)
            return False
        return True

    def _keep_folder(self, path: str, error: OSError | str) -> bool:
        self.found.left_folders += 1
        self.found.note(path, error)
        return False


def _open(name: str, parent: int) -> int:
    """Open a folder for reading; if the owner lacks permissions on it, they are added first."""
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
