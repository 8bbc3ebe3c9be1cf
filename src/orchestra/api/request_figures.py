"""How many requests a server has answered, and how soon."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 10.0)
"""Seconds; the upper ends of the histogram."""


@dataclass(slots=True)
class RequestFigures:
    """How many requests a server has answered by class of status, and how soon. Its event loop alone writes them."""

    answers: Counter[str] = field(default_factory=Counter)
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def note(self, status: int, seconds: float) -> None:
        """Count an answer, which began after so many seconds."""
        self.answers[f"{status // 100}xx"] += 1
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds
