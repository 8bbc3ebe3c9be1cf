"""The frame of a chart as SVG: scales, axes, ticks and labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestra.domain import human
from orchestra.domain.charts.models import Axis, Chart
from orchestra.domain.charts.scale import Scale, scale_of, short
from orchestra.reports.markup import Content, Markup, element

WIDTH, HEIGHT = 360.0, 250.0
TOP, RIGHT, BOTTOM = 10.0, 12.0, 40.0
_CHARACTER = 6.0
"""The width of a character of the labels, about."""
_LEAST_LEFT = 46.0
_SLANT_FROM = 44
"""Names of categories with more characters in total are slanted."""
_DESCRIBED = 20


@dataclass(frozen=True, slots=True)
class Frame:
    """The area of the data, in the SVG's coordinates, and the scales of both axes."""

    x: Scale
    y: Scale
    left: float
    bottom: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        right = WIDTH - RIGHT
        return (
            self.left + self.x.place(x) * (right - self.left),
            self.bottom - self.y.place(y) * (self.bottom - TOP),
        )


def of_categories(names: Sequence[str]) -> Scale:
    return Scale(-0.5, len(names) - 0.5)


def scale(axis: Axis, values: Iterable[float], *, zero: bool = False) -> Scale:
    if axis.names is not None:
        return of_categories(axis.names)
    return scale_of(values, is_log=axis.is_log, zero=zero)


def frame_of(x: Axis, y: Axis, x_scale: Scale, y_scale: Scale) -> Frame:
    longest = max((len(name) for name, _ in ticks(y, y_scale)), default=0)
    left = max(_LEAST_LEFT, longest * _CHARACTER + 26)
    below = max(map(len, x.names or ("",))) * _CHARACTER * 0.7 if _slanted(x) else 0.0
    return Frame(x_scale, y_scale, left, HEIGHT - BOTTOM - below)


def _slanted(axis: Axis) -> bool:
    return axis.names is not None and sum(map(len, axis.names)) > _SLANT_FROM


def ticks(axis: Axis, scale: Scale) -> list[tuple[str, float]]:
    if axis.names is not None:
        return [(name, float(place)) for place, name in enumerate(axis.names)]
    return [(short(tick), tick) for tick in (axis.ticks or scale.ticks())]


def document(chart: Chart, height: float, description: str, *contents: Content) -> Markup:
    return element(
        "svg",
        element("title", f"{chart.title} ({chart.caption})" if chart.caption else chart.title),
        element("desc", description),
        *contents,
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
    )


def axes(frame: Frame, x: Axis, y: Axis, *, grid: bool = True) -> Iterator[Markup]:
    """Yield lines, ticks and labels of both axes."""
    right = WIDTH - RIGHT
    for name, value in ticks(y, frame.y):
        at = frame.at(frame.x.low, value)[1]
        if grid:
            yield element("line", class_="grid", x1=frame.left, x2=right, y1=at, y2=at)
        yield element("text", name, class_="tick", x=frame.left - 5, y=at + 4, text_anchor="end")
    slanted = _slanted(x)
    for name, value in ticks(x, frame.x):
        at = frame.at(value, frame.y.low)[0]
        yield element("line", class_="axis", x1=at, x2=at, y1=frame.bottom, y2=frame.bottom + 4)
        below = frame.bottom + 16
        yield element(
            "text",
            name,
            class_="tick",
            x=at,
            y=below,
            text_anchor="end" if slanted else "middle",
            transform=f"rotate(-40 {at:.1f} {below - 4:.1f})" if slanted else None,
        )
    yield element("line", class_="axis", x1=frame.left, x2=right, y1=frame.bottom, y2=frame.bottom)
    middle = (frame.left + right) / 2
    room = int((right - frame.left) / _CHARACTER)
    yield element(
        "text",
        human.one_line(x.label, room),
        class_="label",
        x=middle,
        y=HEIGHT - 6,
        text_anchor="middle",
    )
    up = (frame.bottom + TOP) / 2
    name = human.one_line(y.label, int((frame.bottom - TOP) / _CHARACTER))
    yield element(
        "text",
        name,
        class_="label",
        x=12,
        y=up,
        text_anchor="middle",
        transform=f"rotate(-90 12 {up:.1f})",
    )


def polyline(places: Sequence[tuple[float, float]], name: str) -> Markup:
    return element("polyline", class_=name, points=" ".join(f"{x:.1f},{y:.1f}" for x, y in places))


def listed(what: str, axis: Axis, pairs: Iterable[tuple[float, str]]) -> str:
    """`Medians: 0.001: 0.85, 0.01: 0.9.`"""
    words = [f"{_named(axis, at)}: {value}" for at, value in pairs]
    return f"{what}: {human.listed(words, most=_DESCRIBED)}." if words else ""


def _named(axis: Axis, at: float) -> str:
    return axis.names[round(at)] if axis.names is not None else short(at)
