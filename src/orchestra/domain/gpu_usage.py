"""How long GPUs computed for an attempt. Pure. All times are by one clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf

from orchestra.domain.gpus import Sample


@dataclass(frozen=True, slots=True)
class Period:
    """A time in which a GPU computed for some percent of it."""

    since: float
    until: float
    percent: float


@dataclass(slots=True)
class Activity:
    """What is known of one GPU: when its last sample was, and what that said.

    A sample holds for the time since the one before, and until there is another.
    """

    at: float | None = None
    percent: float = 0.0

    def note(self, samples: Sequence[Sample]) -> list[Period]:
        """Note new samples, oldest first; return the periods that they tell of. The first one ever tells of none."""
        return list(self._periods(samples))

    def _periods(self, samples: Sequence[Sample]) -> Iterator[Period]:
        for at, percent in samples:
            if self.at is not None and at > self.at:
                yield Period(self.at, at, percent)
            if self.at is None or at > self.at:
                self.at, self.percent = at, percent

    def since_last(self) -> list[Period]:
        """Return the period since the last sample, as if it still held."""
        return [] if self.at is None else [Period(self.at, inf, self.percent)]


def busy_seconds(periods: Sequence[Period], since: float, until: float) -> float:
    """Return for how long a GPU computed between two moments, so far as the periods tell."""
    return sum(
        max(0.0, min(until, period.until) - max(since, period.since)) * period.percent / 100
        for period in periods
    )
