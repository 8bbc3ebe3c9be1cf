"""Data sets and the files that they list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class DataSet:
    """A registered list of files; `version` is the one that new tasks take."""

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
    """One file as it was when it was registered: path below the data set's root, bytes, nanoseconds, 32 bytes.

    An entry of an older task's outputs is a folder: it has no size, time or hash.
    """

    path: str
    size: int | None
    mtime_ns: int | None
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class Manifest:
    """Files as they are now, taken where they are: what is registered.

    Args:
        root: absolute path of the folder, or of the one file where `is_folder` is false.
        entries: paths below the folder (the file's name for one file), in natural order; never empty.
        hidden: how many hidden files and folders were left out.
        outputs: the folders below with what tasks have written, which were left out.
        texts: what small files with values in them say, by their place among the entries.
        texts_cut: these came to more than a data set may have, so that only those of the first files are kept.
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
