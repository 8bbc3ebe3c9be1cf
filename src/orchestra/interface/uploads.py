"""What a client and a server tell each other about the files of a data set: whether both see them, and uploads.

These are no operations of the table, since a server's folders answer them and not the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.uploads import Content, Part

PATH = "/uploads"
SEEN = f"{PATH}/seen"
MISSING = f"{PATH}/missing"
CONTENT = f"{PATH}/content"
FOLDERS = f"{PATH}/folders"


@dataclass(frozen=True, slots=True)
class Terms:
    """What a server does with files: whether it takes uploads, and the folders below which it compares files."""

    takes: bool
    roots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileList:
    """The files of a folder, or one file, as they are where the client runs."""

    root: str
    is_folder: bool
    entries: tuple[ManifestEntry, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The contents that a client is about to upload."""

    contents: tuple[Content, ...]


@dataclass(frozen=True, slots=True)
class NewFolder:
    """A folder to be made of uploaded contents, or of one file.

    Args:
        label: its name for people: the last part of the data set's.
        executable: the indexes of the files that can be executed.
    """

    label: str
    files: FileList
    executable: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Placed:
    """Where files lie on the server, with their times in nanoseconds; or the contents that have not arrived."""

    root: str = ""
    mtimes_ns: tuple[int, ...] = ()
    missing: tuple[Content, ...] = ()


class Uploads(Protocol):
    """The uploads of a server, as a client has them.

    Every method raises ServerUnavailable if the server cannot be reached, and Refused if it takes no uploads.
    """

    def terms(self) -> Terms:
        """Return what the server does with files."""
        ...

    def sees(self, files: FileList) -> bool:
        """Return whether the server sees the same files at the same paths."""
        ...

    def missing(self, contents: tuple[Content, ...]) -> tuple[Content, ...]:
        """Return the contents that the server does not have."""
        ...

    def send(self, parts: list[Part], data: bytes) -> None:
        """Send parts of contents."""
        ...

    def place(self, folder: NewFolder) -> Placed:
        """Make a folder of contents that were sent."""
        ...

    def remove(self, label: str) -> int:
        """Remove the folders of a label that no data set has any more, and return how many there were."""
        ...
