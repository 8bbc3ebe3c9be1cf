"""Where a task's input files come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The version of a data set that a tag refers to; `dataset` is None for an older task's outputs.

    `only_file` is the path below its root if the data set has a single file.
    """

    dataset: str | None
    version: int
    root: str
    is_folder: bool
    files: int
    tag: str = "IN"
    only_file: str | None = None

    @property
    def path(self) -> str:
        """The value of the tag: the single file, or the folder."""
        if self.is_folder and self.only_file is not None:
            return f"{self.root}/{self.only_file}"
        return self.root
