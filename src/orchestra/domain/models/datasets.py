"""Data sets and their lists of files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FileChoice:
    """Which files of a folder belong to a data set (domain/file_choice.py); an update chooses in the same way.

    Args:
        include: patterns; only files that match one of them. None of them: every file.
        exclude: patterns; no file that matches one of them.
        all_files: also what is skipped by default: hidden files, caches, leftovers of editors, READMEs beside configs.
        listed: only the files that were named one by one, not others of the folder.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    all_files: bool = False
    listed: bool = False


USUAL = FileChoice()
"""Every file that is not skipped by default."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A registered list of files; new tasks use `version`.

    Args:
        source: where files that were uploaded come from: a machine's name, ":" and a path there.
    """

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
    choice: FileChoice = USUAL
    source: str | None = None


@dataclass(frozen=True, slots=True)
class DataSetVersion:
    """One version of a data set: what was registered, and when. Tasks keep that with which they were created."""

    number: int
    root: str
    is_folder: bool
    files: int
    bytes: int
    created_at: datetime


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
        skipped: the files and folders (with a "/") that were left out by default, in natural order.
        outputs: the folders below the root with outputs of tasks, which were left out.
        texts: the contents of small files that hold values, by their index in the entries.
        texts_cut: the texts exceeded the limit of a data set, so only those of the first files are kept.
        choice: how the files were chosen.
        unmatched: the patterns of the choice that match no file.
        missing: the files of a list that do not exist any more.
        source: where files that were uploaded come from, as in a data set.
    """

    root: str
    is_folder: bool
    entries: tuple[ManifestEntry, ...]
    skipped: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    texts: Mapping[int, str] = field(default_factory=dict)
    texts_cut: bool = False
    choice: FileChoice = USUAL
    unmatched: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    source: str | None = None

    @property
    def bytes(self) -> int:
        return sum(entry.size or 0 for entry in self.entries)


class Taken(StrEnum):
    """How the files of a run came to be a data set."""

    NEW = "new"
    AS_IT_WAS = "as it was"
    NEW_VERSION = "new version"
