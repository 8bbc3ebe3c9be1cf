"""A prepared image, and how to notice that its file has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FileState = tuple[int, int, int]
"""Size, modification time and inode of a file."""


def file_state(path: Path) -> FileState:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that can be run.

    Args:
        image: what the runtime gets: a path, or an id in its storage.
        digest: `sha256:...` of the image; None for a folder.
        key: its name in the cache; None if it is not kept there.
        state: that of its file when it was prepared.
        source: that file, if it is not the image itself.
    """

    image: str
    digest: str | None = None
    key: str | None = None
    state: FileState | None = None
    source: str | None = None

    def is_unchanged(self) -> bool:
        """Whether the file is still the same. For a folder, whether it exists."""
        if self.image.startswith("sha256:"):
            return True
        try:
            return self.state is None or file_state(Path(self.source or self.image)) == self.state
        except OSError:
            return False
