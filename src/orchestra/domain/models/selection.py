"""A selection of tasks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """Tasks as typed: words (numbers or names), and an inclusive range of numbers."""

    words: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None
