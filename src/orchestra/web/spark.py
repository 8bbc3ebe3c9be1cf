"""The jobs of the last hours as small bars. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.domain.models.overview import HourlyEnds

HEIGHT = 40
STEP = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """One hour: where its bar stands in the drawing, and the height of the done and of the failed jobs."""

    hour: HourlyEnds
    x: int
    done: float
    failed: float


def bars(hours: Sequence[HourlyEnds]) -> list[Bar]:
    """Return a bar for each hour; the highest fills the drawing, and what is not zero can be seen."""
    most = max((hour.done + hour.failed for hour in hours), default=0) or 1
    return [
        Bar(hour, place * STEP, _height(hour.done, most), _height(hour.failed, most))
        for place, hour in enumerate(hours)
    ]


def _height(jobs: int, most: int) -> float:
    return round(max(HEIGHT * jobs / most, 1.5), 2) if jobs else 0.0
