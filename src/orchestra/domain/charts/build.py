"""Charts of rows: each function draws what it is told to, or says with None that it cannot."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.domain import human
from orchestra.domain.charts import axes
from orchestra.domain.charts.axes import Key, key
from orchestra.domain.charts.models import (
    Cell,
    HeatMap,
    Histogram,
    Mean,
    Point,
    Points,
    Ranking,
    Series,
    Spread,
)
from orchestra.domain.charts.scale import short
from orchestra.domain.results import Column, Row

RANKED = 12
SERIES = 6
CELLS = 30
"""A heat map has at most so many columns and rows."""
_BINS = 40
_JITTER = 0.5
"""The width of a category in which its points are spread, of the distance to the next."""
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class Metric:
    """The metric to draw, and whether its highest value is best; None if that is unknown."""

    column: Column
    highest: bool | None

    @property
    def name(self) -> str:
        return human.one_line(self.column.name, 60)

    def of(self, row: Row) -> float:
        return float(self.column.of(row))

    def best(self, things: Iterable[Any], value: Any) -> Any:
        """The thing with the best value; None if what is best is unknown."""
        if self.highest is None:
            return None
        return (max if self.highest else min)(things, key=value, default=None)


def points(rows: Sequence[Row], column: Column, metric: Metric) -> Points | None:
    """The metric against one value, a point for each job; None if the value has too many texts."""
    rows = [row for row in rows if column.of(row) is not None]
    found = axes.of_values(column.name, [column.of(row) for row in rows])
    if found is None:
        return None
    x, place = found
    drawn = [Point(place(column.of(row)), metric.of(row)) for row in rows]
    by_x: dict[float, list[float]] = defaultdict(list)
    for point in drawn:
        by_x[point.x].append(point.y)
    line: tuple[Point, ...] = ()
    if len(by_x) <= min(axes.CATEGORIES, len(drawn) / 2):
        line = tuple(Point(at, statistics.median(ys)) for at, ys in sorted(by_x.items()))
    if x.names:
        drawn = list(_spread_out(drawn))
    best = metric.best(drawn, lambda point: point.y)
    what = "marks" if x.names else "line"
    return Points(
        f"{metric.name} against {x.label}",
        _sentences(
            f"{what}: median" if line else "", f"ring: best, {short(best.y)}" if best else ""
        ),
        x,
        axes.of_numbers(metric.name, [point.y for point in drawn]),
        tuple(drawn),
        line,
        best,
    )


def in_words(rows: Sequence[Row], metric: Metric) -> str:
    """The mean and spread of a metric over all rows."""
    mean = _mean(0, rows, metric)
    return f"mean {short(mean.mean)}, standard deviation {short(mean.deviation)}"


def _spread_out(drawn: Sequence[Point]) -> Iterable[Point]:
    """Move the points of a category apart, the same way each time."""
    seen: dict[float, int] = defaultdict(int)
    for point in drawn:
        seen[point.x] += 1
        yield Point(point.x + _JITTER * (seen[point.x] * _GOLDEN % 1 - 0.5), point.y)


def grouped(rows: Iterable[Row], columns: Sequence[Column]) -> dict[tuple[Key, ...], list[Row]]:
    """Rows by their values in these columns, in the order of the values."""
    groups: dict[tuple[Key, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(key(column.of(row)) for column in columns)].append(row)
    return {each: groups[each] for each in sorted(groups)}


def spread(
    rows: Sequence[Row], x_column: Column, series: Column | None, metric: Metric, over: str
) -> Spread | None:
    """Mean and spread along one value, with a line for each value of another one; None if there are too many."""
    columns = [x_column, *([series] if series else [])]
    rows = [row for row in rows if all(column.of(row) is not None for column in columns)]
    found = axes.of_values(x_column.name, [x_column.of(row) for row in rows])
    names = axes.distinct([series.of(row) for row in rows]) if series else [None]
    if found is None or len(names) > SERIES:
        return None
    x, place = found
    lines = []
    for name in names:
        mine = [row for row in rows if series is None or key(series.of(row)) == key(name)]
        groups = grouped(mine, [x_column]).values()
        means = tuple(_mean(place(x_column.of(group[0])), group, metric) for group in groups)
        label = f"{human.one_line(series.name, 30)} {axes.named(name)}" if series else ""
        lines.append(Series(label, means))
    return Spread(
        f"mean {metric.name} against {x.label}"
        + (f" and {human.one_line(series.name, 40)}" if series else ""),
        f"mean and standard deviation {over}",
        x,
        axes.of_numbers(metric.name, [each.mean for line in lines for each in line.means]),
        tuple(lines),
    )


def ranking(
    groups: Sequence[Sequence[Row]], columns: Sequence[Column], metric: Metric, over: str
) -> Ranking:
    """The groups with the best means."""
    named = [
        (
            ", ".join(
                f"{human.one_line(c.name, 24)} {axes.named(c.of(group[0]))}" for c in columns
            ),
            group,
        )
        for group in groups
    ]
    highest = metric.highest is not False
    named.sort(key=lambda each: statistics.fmean(map(metric.of, each[1])), reverse=highest)
    named = named[:RANKED]
    means = tuple(_mean(float(at), group, metric) for at, (_, group) in enumerate(named))
    which = "best" if metric.highest is not None else "highest"
    shown = f"the {which} {len(named)} of {len(groups)}, " if len(named) < len(groups) else ""
    return Ranking(
        f"mean {metric.name} of {human.count(len(groups), 'combination')}",
        f"{shown}mean and standard deviation {over}",
        tuple(name for name, _ in named),
        axes.of_numbers(metric.name, [each.mean for each in means]),
        means,
    )


def _mean(at: float, group: Sequence[Row], metric: Metric) -> Mean:
    values = [metric.of(row) for row in group]
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return Mean(at, statistics.fmean(values), deviation, len(values))


def heat_map(
    rows: Sequence[Row], x_column: Column, y_column: Column, metric: Metric
) -> HeatMap | None:
    """The mean for each pair of two values; None if one of them has too many."""
    columns = [x_column, y_column]
    rows = [row for row in rows if all(column.of(row) is not None for column in columns)]
    xs, ys = (axes.distinct([column.of(row) for row in rows]) for column in columns)
    if not rows or max(len(xs), len(ys)) > CELLS:
        return None
    (x, column_of), (y, row_of) = (
        axes.of_categories(column.name, found)
        for column, found in zip(columns, (xs, ys), strict=True)
    )
    cells = []
    for group in grouped(rows, columns).values():
        place = (int(column_of(x_column.of(group[0]))), int(row_of(y_column.of(group[0]))))
        cells.append(Cell(*place, statistics.fmean(map(metric.of, group)), len(group)))
    best = metric.best(cells, lambda cell: cell.mean)
    most = max(cell.jobs for cell in cells)
    return HeatMap(
        f"{metric.name} by {x.label} and {y.label}",
        _sentences(
            f"mean of up to {human.count(most, 'job')} a cell" if most > 1 else "a job a cell",
            f"framed: best, {short(best.mean)}" if best else "",
        ),
        x,
        y,
        axes.of_numbers(metric.name, [cell.mean for cell in cells]),
        tuple(cells),
        best,
    )


def histogram(label: str, values: Sequence[float], unit: str = "") -> Histogram:
    """How often values occur; in intervals of equal ratio if they span decades."""
    axis = axes.of_numbers(f"{label} ({unit})" if unit else label, values)
    low, high = (math.log10(each) if axis.is_log else each for each in (min(values), max(values)))
    if low == high:
        half = abs(low) / 2 if abs(low) > 1 / axes.LARGEST else 0.5
        low, high = low - half, high + half
    bins = min(_BINS, max(5, round(len(values) ** 0.5)))
    counts = [0] * bins
    for value in values:
        at = math.log10(value) if axis.is_log else value
        counts[min(bins - 1, int((at - low) / (high - low) * bins))] += 1
    places = [low + (high - low) / bins * number for number in range(bins)] + [high]
    edges = tuple(10**place if axis.is_log else place for place in places)
    middle = statistics.median(values)
    return Histogram(
        f"{human.one_line(label, 60)} of {human.count(len(values), 'job')}",
        f"median {short(middle)} {unit}".rstrip(),
        axis,
        edges,
        tuple(counts),
    )


def usage(rows: Sequence[Row]) -> Iterable[Histogram]:
    """How long the jobs took, and their peak memory."""
    if seconds := [row.seconds for row in rows if row.seconds is not None]:
        yield histogram(*_in_unit("duration", seconds, (("h", 3600), ("min", 60)), "s"))
    if memory := [peak for row in rows if (peak := row.usage.max_rss_bytes) is not None]:
        yield histogram(*_in_unit("peak memory", memory, (("GB", 1e9), ("MB", 1e6)), "kB", 1e3))


def _in_unit(
    name: str,
    values: Sequence[float],
    units: Sequence[tuple[str, float]],
    smallest: str,
    size: float = 1,
) -> tuple[str, list[float], str]:
    unit, size = next((each for each in units if max(values) > 2 * each[1]), (smallest, size))
    return name, [value / size for value in values], unit


def _sentences(*parts: str) -> str:
    return "; ".join(filter(None, parts))


def values_of(rows: Sequence[Row], columns: Iterable[Column]) -> Mapping[Column, list[Any]]:
    """The different values of each column."""
    return {column: axes.distinct([column.of(row) for row in rows]) for column in columns}
