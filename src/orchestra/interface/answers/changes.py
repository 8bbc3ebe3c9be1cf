"""Changes since an earlier answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskChanges:
    """Tasks that have changed; `cursor` continues from here, and is opaque."""

    cursor: str
    tasks: tuple[int, ...]
