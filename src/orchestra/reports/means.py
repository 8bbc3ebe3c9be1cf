"""Means with their spread as SVG: lines, and the best combinations."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.domain import human
from orchestra.domain.charts.models import Axis, Mean, Ranking, Spread
from orchestra.domain.charts.scale import Scale, scale_of, short
from orchestra.reports.frame import (
    HEIGHT,
    RIGHT,
    WIDTH,
    Frame,
    axes,
    document,
    frame_of,
    listed,
    polyline,
    scale,
)
from orchestra.reports.markup import Markup, element

_MARKS = ("circle", "square", "triangle", "diamond", "down", "cross")


def spread(chart: Spread) -> Markup:
    means = [mean for line in chart.series for mean in line.means]
    x = scale(chart.x, (mean.at for mean in means))
    y = scale(chart.y, (value for mean in means for value in _ends(mean, chart.y)))
    frame = frame_of(chart.x, chart.y, x, y)
    drawn: list[Markup] = []
    for number, line in enumerate(chart.series):
        shift = 4.0 * (number - (len(chart.series) - 1) / 2) if chart.x.names is not None else 0.0
        places = [_shifted(frame.at(mean.at, mean.mean), shift) for mean in line.means]
        bars = [
            _bar(*(_shifted(frame.at(mean.at, end), shift) for end in _ends(mean, chart.y)))
            for mean in line.means
            if mean.deviation
        ]
        marks = (_mark(_MARKS[number % 6], *place) for place in places)
        drawn.append(
            element("g", polyline(places, "line"), *bars, *marks, class_=f"s{number % 6 + 1}")
        )
    named = [
        (f"s{number % 6 + 1}", _MARKS[number % 6], line.name)
        for number, line in enumerate(chart.series)
    ]
    legend, height = _legend(named) if len(named) > 1 else ([], 0.0)
    told = " ".join(
        listed(
            line.name or "Means",
            chart.x,
            ((m.at, _in_words(m)) for m in line.means),
        )
        for line in chart.series
    )
    return document(chart, HEIGHT + height, told, *axes(frame, chart.x, chart.y), *drawn, *legend)


def _in_words(mean: Mean) -> str:
    spread = f" ± {short(mean.deviation)}" if mean.deviation else ""
    return f"{short(mean.mean)}{spread}"


def _ends(mean: Mean, axis: Axis) -> tuple[float, float]:
    """The ends of an error bar; on a logarithmic axis, none goes below zero."""
    down = min(mean.deviation, mean.mean * 0.95) if axis.is_log else mean.deviation
    return mean.mean - down, mean.mean + mean.deviation


def _shifted(place: tuple[float, float], by: float) -> tuple[float, float]:
    return place[0] + by, place[1]


def _bar(low: tuple[float, float], high: tuple[float, float]) -> Markup:
    """A vertical or horizontal error bar with caps."""
    (x1, y1), (x2, y2) = low, high
    across, up = (0, 3) if y1 == y2 else (3, 0)
    caps = "".join(
        f"M{x - across:.1f} {y - up:.1f}L{x + across:.1f} {y + up:.1f}" for x, y in (low, high)
    )
    return element("path", class_="bar", d=f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}{caps}")


def _mark(shape: str, x: float, y: float) -> Markup:
    if shape == "circle":
        return element("circle", class_="mark", cx=x, cy=y, r=3.2)
    moves = {
        "square": "m-3 -3h6v6h-6z",
        "triangle": "m0 -4l4 7h-8z",
        "diamond": "m0 -4.4l4 4.4l-4 4.4l-4 -4.4z",
        "down": "m0 4l4 -7h-8z",
        "cross": "m-1.3 -4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z",
    }
    return element("path", class_="mark", d=f"M{x:.1f} {y:.1f}{moves[shape]}")


def _legend(named: Sequence[tuple[str, str, str]]) -> tuple[list[Markup], float]:
    """Return a legend below the chart in two columns, and its height."""
    found = []
    for number, (series, shape, name) in enumerate(named):
        x, y = 20 + (number % 2) * 172.0, HEIGHT + 8 + (number // 2) * 16.0
        label = element("text", human.one_line(name, 22), class_="tick", x=x + 32, y=y + 4)
        line = polyline([(x, y), (x + 26, y)], "line")
        found.append(element("g", line, _mark(shape, x + 13, y), label, class_=series))
    return found, 6 + 16.0 * -(-len(named) // 2)


def ranking(chart: Ranking) -> Markup:
    """Each combination above its bar, because names are long and telephones narrow."""
    step, left, top = 30.0, 16.0, 14.0
    bottom = top + step * len(chart.names)
    scale = scale_of(
        (end for mean in chart.means for end in _ends(mean, chart.value)), is_log=chart.value.is_log
    )
    frame = Frame(scale, Scale(0, 1), left, bottom)
    drawn: list[Markup] = []
    for name, mean in zip(chart.names, chart.means, strict=True):
        y = top + step * mean.at + 12
        place, *ends = (
            (frame.at(each, 0)[0], y) for each in (mean.mean, *_ends(mean, chart.value))
        )
        shown = human.one_line(name, 48)
        drawn.append(element("text", shown, class_="tick", x=left, y=y - 7))
        drawn.append(
            element(
                "text",
                short(mean.mean),
                class_="tick",
                x=WIDTH - RIGHT,
                y=y - 7,
                text_anchor="end",
            )
        )
        if mean.deviation:
            drawn.append(_bar(*ends))
        drawn.append(_mark("circle", *place))
    ticks: list[Markup] = []
    for tick in scale.ticks():
        at = frame.at(tick, 0)[0]
        ticks.append(element("line", class_="grid", x1=at, x2=at, y1=top, y2=bottom))
        ticks.append(
            element("text", short(tick), class_="tick", x=at, y=bottom + 14, text_anchor="middle")
        )
    label = element(
        "text",
        human.one_line(f"mean {chart.value.label}", 50),
        class_="label",
        x=WIDTH / 2,
        y=bottom + 30,
        text_anchor="middle",
    )
    told = human.listed(
        [
            f"{name}: {short(m.mean)} ± {short(m.deviation)}"
            for name, m in zip(chart.names, chart.means, strict=True)
        ]
    )
    return document(chart, bottom + 36, told, *ticks, element("g", *drawn, class_="s1"), label)
