"""Data sets and the files that they list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
