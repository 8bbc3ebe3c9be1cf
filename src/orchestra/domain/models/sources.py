"""Where the files come from that the jobs of a task read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The version of a data set that a tag of a task stands for; `dataset` is None for an older task's outputs.

    `only_file` is the path below its root where the data set has no other.
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
        """What the tag becomes: the one file, or the folder of several."""
        if self.is_folder and self.only_file is not None:
            return f"{self.root}/{self.only_file}"
        return self.root
