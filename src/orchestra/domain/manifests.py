"""Checks of a data set's list of files, and the changes between two lists. Pure.

A list is made where the files are and checked where it is stored, since any program may send one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestra.domain import file_choice
from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import DataSet, Manifest, ManifestEntry
from orchestra.domain.storable import LARGEST, LONGEST_PATH, check_text, within_64_bits

TEXT_AT_MOST = 4_000
"""The database keeps the text of files up to so many bytes."""
ALL_TEXTS_AT_MOST = 64_000_000
"""The database keeps so many characters for all files of a version, from the first files on."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NO_PART = frozenset(("", ".", ".."))
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True)
class Changes:
    """How many files were added, removed and changed, and whether the root or the choice of files is another one."""

    added: int
    removed: int
    changed: int
    moved: bool
    chosen_otherwise: bool = False

    def __bool__(self) -> bool:
        found = (self.added, self.removed, self.changed, self.moved, self.chosen_otherwise)
        return any(found)


def compare(before: DataSet, entries: Iterable[ManifestEntry], now: Manifest) -> Changes:
    """Compare the files of a data set with the current ones."""
    old = {entry.path: entry.sha256 for entry in entries}
    new = {entry.path: entry.sha256 for entry in now.entries}
    both = old.keys() & new.keys()
    return Changes(
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        changed=sum(old[path] != new[path] for path in both),
        # An upload has another folder for each version.
        moved=(before.source or before.root, before.is_folder)
        != (now.source or now.root, now.is_folder),
        chosen_otherwise=before.choice != now.choice,
    )


def check(manifest: Manifest) -> None:
    """Refuse an invalid list of files.

    Raises:
        BadInput: it is not valid; the message names the file.
    """
    root, entries = manifest.root, manifest.entries
    _check_path(root)
    if not root.startswith("/"):
        raise BadInput(f"{root} is not an absolute path.")
    if manifest.source is not None:
        _check_path(manifest.source)
    if not entries:
        raise BadInput(f"the folder {root} has no files.")
    if len(entries) > LARGEST:
        raise BadInput(f"{root} has more than {LARGEST:,} files.")
    names = {entry.path for entry in entries}
    if not manifest.is_folder and names != {PurePosixPath(root).name}:
        raise BadInput(f"{root} is a single file, but others are listed.")
    if len(names) != len(entries):
        raise BadInput(f"a file of {root} is listed twice.")
    for entry in entries:
        _check_entry(entry)
    _check_texts(manifest)
    file_choice.check(manifest.choice)


def _check_entry(entry: ManifestEntry) -> None:
    _check_path(entry.path)
    if not _NO_PART.isdisjoint(entry.path.split("/")):
        raise BadInput(f'"{entry.path}" is not a path below a folder.')
    size, mtime, sha256 = entry.size, entry.mtime_ns, entry.sha256
    if size is None or mtime is None or sha256 is None:
        raise BadInput(f"the size, time or checksum of {entry.path} is missing.")
    if size < 0 or within_64_bits(size) != size or within_64_bits(mtime) != mtime:
        raise BadInput(f"the size or time of {entry.path} is out of range.")
    if len(sha256) != _SHA256_BYTES:
        raise BadInput(f"the checksum of {entry.path} is not a SHA-256 checksum.")


def _check_path(path: str) -> None:
    if len(path) * 4 <= LONGEST_PATH and path.isprintable():
        return  # the quick way for nearly all; there may be a million
    if _CONTROL.search(path):
        raise BadInput(f"the name {path!r} contains a line break or another control character.")
    check_text(f"the name {path!r}", path, most=LONGEST_PATH)


def _check_texts(manifest: Manifest) -> None:
    for place, text in manifest.texts.items():
        if not 0 <= place < len(manifest.entries):
            raise BadInput(f"there is a text for file {place}, but no such file.")
        name = manifest.entries[place].path
        check_text(f"the text of {name}", text, most=TEXT_AT_MOST)
    if sum(map(len, manifest.texts.values())) > ALL_TEXTS_AT_MOST:
        raise BadInput(f"the texts of {manifest.root} are too long together.")
