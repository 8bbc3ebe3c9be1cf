"""What has changed since somebody looked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """Tasks that have changed; `cursor` is what to go on with, a text that means nothing to anybody else."""

    cursor: str
    tasks: tuple[int, ...]
