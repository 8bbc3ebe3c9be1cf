"""Whether files lie below folders that a server's operator named, as a list says. Nothing outside them is looked at.

Paths are walked component by component without following a symlink, so that none leads out of these folders.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import PurePosixPath

from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.storable import within_64_bits

READ_AT_MOST = 256 << 20
"""Bytes of which checksums are taken; of further files, size and time must do, as they do before an attempt."""
_BLOCK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def root_of(path: str, roots: Sequence[str]) -> str | None:
    """Return the folder of `roots` that a path is in, the deepest one; None if it is in none of them."""
    given = PurePosixPath(path)
    if not given.is_absolute() or ".." in given.parts:
        return None
    found = [root for root in roots if given.is_relative_to(root)]
    return max(found, key=len, default=None)


def has_files(
    root: str,
    folder: str,
    entries: Sequence[ManifestEntry],
    *,
    read_at_most: int = READ_AT_MOST,
) -> bool:
    """Return whether all these files are in a folder at or below `root`: equal in size, time and checksum."""
    below = str(PurePosixPath(folder).relative_to(root))
    prefix = () if below == "." else tuple(below.split("/"))
    left = read_at_most
    try:
        with _Walk(root) as walk:
            for entry in entries:
                *parents, name = entry.path.split("/")
                inside = walk.folder((*prefix, *parents))
                if not _is_same(inside, name, entry, check=left > 0):
                    return False
                left -= entry.size or 0
    except (OSError, ValueError):  # ValueError: a null byte in a name
        return False
    return True


def _is_same(folder: int, name: str, entry: ManifestEntry, *, check: bool) -> bool:
    if name in ("", ".", ".."):
        return False
    with _opened(name, folder) as descriptor:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            return False
        if within_64_bits(found.st_mtime_ns) != entry.mtime_ns:
            return False
        return not check or _digest(descriptor, found.st_size) == entry.sha256


@contextmanager
def _opened(name: str, folder: int) -> Iterator[int]:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _digest(descriptor: int, size: int) -> bytes:
    digest = hashlib.sha256()
    while size > 0 and (block := os.read(descriptor, min(_BLOCK, size))):
        digest.update(block)
        size -= len(block)
    return digest.digest()


class _Walk:
    """The folders from a root down to the one that was asked for last, open."""

    def __init__(self, root: str) -> None:
        # The operator's own path may have symlinks.
        self._open = [os.open(root, _FOLDER & ~os.O_NOFOLLOW)]
        self._names: list[str] = []

    def __enter__(self) -> _Walk:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open:
            os.close(descriptor)

    def folder(self, names: Sequence[str]) -> int:
        """Return the descriptor of a folder below the root.

        Raises:
            OSError: there is no such folder, or a symlink is on the way.
            ValueError: a name leads elsewhere.
        """
        same = 0
        while same < min(len(names), len(self._names)) and names[same] == self._names[same]:
            same += 1
        while len(self._names) > same:
            self._names.pop()
            os.close(self._open.pop())
        for name in names[same:]:
            if name in ("", ".", ".."):
                raise ValueError(name)
            self._open.append(os.open(name, _FOLDER, dir_fd=self._open[-1]))
            self._names.append(name)
        return self._open[-1]
