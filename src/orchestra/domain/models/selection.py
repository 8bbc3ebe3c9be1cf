"""Which tasks are meant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Selection:
    """What was typed: words (numbers or names), and a range of numbers with both ends included."""

    words: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None
