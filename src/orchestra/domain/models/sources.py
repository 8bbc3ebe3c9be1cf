"""Where the files come from that the jobs of a task read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """The version that a task takes files from; `dataset` is None for an older task's outputs."""

    dataset: str | None
    version: int
    root: str
    is_folder: bool
    files: int
    tag: str = "IN"
    only_file: str | None = None
