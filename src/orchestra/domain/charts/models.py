"""Charts as values, in coordinates of their data. Whoever draws them decides on sizes, colours and fonts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The kinds of charts that can be asked for."""

    SCATTER = "scatter"
    """A metric against each value: a point for each job."""
    HEATMAP = "heatmap"
    """The mean of a metric for each pair of two values."""
    SEEDS = "seeds"
    """The mean and spread of a metric over repetitions that differ in their seed."""
    USAGE = "usage"
    """How long jobs took and how much memory they used."""


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of numbers, or of categories: then `names` are those of the positions 0, 1, 2, ...

    `ticks` are the numbers to mark; None leaves that to whoever draws.
    """

    label: str
    is_log: bool = False
    ticks: tuple[float, ...] | None = None
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Points:
    """A point for each job. `line` joins the medians (of categories: marks them). `best` is to be marked."""

    title: str
    caption: str
    x: Axis
    y: Axis
    points: tuple[Point, ...]
    line: tuple[Point, ...] = ()
    best: Point | None = None


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of some jobs at a place, and its spread: one standard deviation up and down, none for one job."""

    at: float
    mean: float
    deviation: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Series:
    name: str
    means: tuple[Mean, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """Means with their spread along an axis; several series have names."""

    title: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The best means with their spread, best first: `at` of a mean is its place in `names`."""

    title: str
    caption: str
    names: tuple[str, ...]
    value: Axis
    means: tuple[Mean, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    column: int
    row: int
    mean: float
    jobs: int


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The mean of each pair of values; both axes have categories."""

    title: str
    caption: str
    x: Axis
    y: Axis
    value: Axis
    cells: tuple[Cell, ...]
    best: Cell | None = None


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many jobs have values between neighbouring `edges`, of which there is one more than `counts`."""

    title: str
    caption: str
    x: Axis
    edges: tuple[float, ...]
    counts: tuple[int, ...]


Chart = Points | Spread | Ranking | HeatMap | Histogram
