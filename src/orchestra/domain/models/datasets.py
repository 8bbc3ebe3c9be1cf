"""Data sets and their lists of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DataSet:
    """A registered list of files; new tasks use `version`."""

    id: int
    name: str
    owner: str
    version_id: int
    version: int
    root: str
    is_folder: bool
    files: int
    bytes: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """A file as registered: its path below the data set's root, size in bytes, mtime in nanoseconds, SHA-256 digest.

    An entry of an older task's outputs is a folder, without size, time or digest.
    """

    path: str
    size: int | None
    mtime_ns: int | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """A list of files to register, as they are now on the machine that has them.

    Args:
        root: absolute path of the folder, or of the one file where `is_folder` is false.
        entries: paths below the folder (the file's name for one file), in natural order; never empty.
        hidden: how many hidden files and folders were left out.
        outputs: the folders below the root with outputs of tasks, which were left out.
        texts: the contents of small files that hold values, by their index in the entries.
        texts_cut: the texts exceeded the limit of a data set, so only those of the first files are kept.
    """

    root: str
    is_folder: bool
    entries: tuple[ManifestEntry, ...]
    hidden: int = 0
    outputs: tuple[str, ...] = ()
    texts: Mapping[int, str] = field(default_factory=dict)
    texts_cut: bool = False

    @property
    def bytes(self) -> int:
        return sum(entry.size or 0 for entry in self.entries)
