"""What a new task would be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preview:
    """A job's command as it would run."""

    ordinal: int
    command: str
