"""Charts as SVG, in the colours of the page's style (`style`). What they show was decided before (`domain.charts`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from orchestra.domain import human
from orchestra.domain.charts.models import (
    Axis,
    Cell,
    Chart,
    HeatMap,
    Histogram,
    Points,
    Ranking,
    Spread,
)
from orchestra.domain.charts.scale import Scale, scale_of, short
from orchestra.reports import means
from orchestra.reports.frame import (
    HEIGHT,
    RIGHT,
    TOP,
    WIDTH,
    Frame,
    axes,
    document,
    frame_of,
    listed,
    of_categories,
    polyline,
    scale,
)
from orchestra.reports.markup import Markup, element
from orchestra.reports.style import heat_colour, ink_on

_NUMBERED = 34.0
"""The least width of a cell that has room for its number."""
_MANY = 300
"""More points than this are drawn faintly, so that their density shows."""


def figure(chart: Chart) -> Markup:
    """Return a chart with its title and caption."""
    caption = element("figcaption", element("b", chart.title), element("br"), chart.caption)
    return element("figure", _svg(chart), caption)


def _svg(chart: Chart) -> Markup:
    match chart:
        case Points():
            return _points(chart)
        case Spread():
            return means.spread(chart)
        case Ranking():
            return means.ranking(chart)
        case HeatMap():
            return _heat_map(chart)
        case Histogram():
            return _histogram(chart)
        case _:
            assert_never(chart)


def _points(chart: Points) -> Markup:
    x = scale(chart.x, (point.x for point in chart.points))
    y = scale(chart.y, (point.y for point in chart.points))
    frame = frame_of(chart.x, chart.y, x, y)
    places = dict.fromkeys(frame.at(point.x, point.y) for point in chart.points)
    dots = "".join(dict.fromkeys(f"M{across:.1f} {up:.1f}h0" for across, up in places))
    faint = "dots many" if len(chart.points) > 300 else "dots"
    best = (
        element("circle", class_="ring", **_centre(frame.at(chart.best.x, chart.best.y)), r=6)
        if chart.best
        else None
    )
    description = f"{human.count(len(chart.points), 'job')}. " + listed(
        "Medians", chart.x, ((point.x, short(point.y)) for point in chart.line)
    )
    return document(
        chart,
        HEIGHT,
        description,
        *axes(frame, chart.x, chart.y),
        element("path", class_=faint, d=dots),
        *_medians(chart, frame),
        best,
    )


def _medians(chart: Points, frame: Frame) -> Iterator[Markup]:
    places = [frame.at(point.x, point.y) for point in chart.line]
    if chart.x.names is None:
        if places:
            yield polyline(places, "median")
        return
    half = 0.3 * (WIDTH - RIGHT - frame.left) / len(chart.x.names)
    for across, up in places:
        yield element("line", class_="median", x1=across - half, x2=across + half, y1=up, y2=up)


def _centre(place: tuple[float, float]) -> dict[str, float]:
    return {"cx": place[0], "cy": place[1]}


def _heat_map(chart: HeatMap) -> Markup:
    columns, rows = chart.x.names or (), chart.y.names or ()
    frame = frame_of(chart.x, chart.y, of_categories(columns), of_categories(rows))
    values = [cell.mean for cell in chart.cells]
    colours = (
        Scale(min(values), max(values), chart.value.is_log) if min(values) < max(values) else None
    )
    width = (WIDTH - RIGHT - frame.left) / len(columns)
    height = (frame.bottom - TOP) / len(rows)

    def corner(cell: Cell) -> tuple[float, float]:
        return frame.left + cell.column * width, frame.bottom - (cell.row + 1) * height

    drawn: list[Markup] = []
    for cell in chart.cells:
        x, y = corner(cell)
        colour = heat_colour(colours.place(cell.mean) if colours else 0.5)
        name = f"{chart.x.label} {columns[cell.column]}, {chart.y.label} {rows[cell.row]}"
        told = element("title", f"{name}: {short(cell.mean)} ({human.count(cell.jobs, 'job')})")
        drawn.append(
            element(
                "g",
                told,
                element("rect", x=x, y=y, width=width, height=height, fill=colour),
                _number(cell, x + width / 2, y + height / 2, width, height, ink_on(colour)),
            )
        )
    if chart.best:
        x, y = corner(chart.best)
        drawn += [
            element("rect", class_=name, x=x + 1, y=y + 1, width=width - 2, height=height - 2)
            for name in ("frame outer", "frame")
        ]
    ends = f"{short(min(values))} (dark) to {short(max(values))} (light)"
    return document(
        chart,
        HEIGHT,
        f"{human.count(len(values), 'cell')}, {ends}.",
        *axes(frame, chart.x, chart.y, grid=False),
        *drawn,
    )


def _number(cell: Cell, x: float, y: float, width: float, height: float, ink: str) -> Markup | None:
    if width < _NUMBERED or height < 12:
        return None
    return element(
        "text",
        short(cell.mean),
        class_=f"cell {ink}",
        x=x,
        y=y + 3.5,
        text_anchor="middle",
    )


def _histogram(chart: Histogram) -> Markup:
    jobs = Axis("jobs")
    x = Scale(chart.edges[0], chart.edges[-1], chart.x.is_log)
    frame = frame_of(chart.x, jobs, x, scale_of(map(float, chart.counts), zero=True))
    bars = []
    for low, high, count in zip(chart.edges, chart.edges[1:], chart.counts, strict=False):
        if count:
            left, top = frame.at(low, count)
            width = frame.at(high, 0)[0] - left - 1
            told = element("title", f"{short(low)} to {short(high)}: {human.count(count, 'job')}")
            bars.append(
                element(
                    "g",
                    told,
                    element(
                        "rect",
                        class_="column",
                        x=left,
                        y=top,
                        width=max(width, 0.5),
                        height=frame.bottom - top,
                    ),
                )
            )
    ends = f"from {short(chart.edges[0])} to {short(chart.edges[-1])}"
    all_jobs = human.count(sum(chart.counts), "job")
    description = f"{all_jobs} {ends}, {chart.caption}."
    return document(chart, HEIGHT, description, *axes(frame, chart.x, jobs), *bars)
