"""Draws charts with matplotlib. What they show was decided before (`domain.charts`)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from orchestra.domain.charts.models import (
    Axis,
    Chart,
    HeatMap,
    Histogram,
    Mean,
    Points,
    Ranking,
    Spread,
)
from orchestra.domain.charts.scale import short

# Okabe and Ito's colours, which people with a colour vision deficiency tell apart; markers and dashes do so in grey.
_BLUE, _ORANGE = "#0072B2", "#D55E00"
_STYLES = (
    (_BLUE, "o", "-"),
    (_ORANGE, "s", "--"),
    ("#009E73", "^", "-."),
    ("#CC79A7", "D", ":"),
    ("#000000", "v", (0, (5, 1))),
    ("#56B4E9", "P", (0, (3, 1, 1, 1))),
)
_COLOURS = "cividis"
_UPRIGHT = 40
"""Names of categories with more characters in total are written upright."""
_NUMBERED_CELLS = 80


def draw(figure_type: Any, title: str, charts: Sequence[Chart]) -> Any:
    """Return a figure with a panel for each chart."""
    across = min(3, len(charts))
    down = -(-len(charts) // across)
    figure = figure_type(figsize=(max(4.6 * across, 5.4), 3.6 * down + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    for number, chart in enumerate(charts, 1):
        axes = figure.add_subplot(down, across, number)
        axes.spines[["top", "right"]].set_visible(False)
        _draw(chart, axes)
        axes.set_title(chart.caption, fontsize=8, color="#444444", parse_math=False, wrap=True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.label.set_parse_math(False)  # a name with dollar signs is a name
    return figure


@singledispatch
def _draw(chart: Chart, axes: Any) -> None:
    raise NotImplementedError(chart)


@_draw.register
def _points(chart: Points, axes: Any) -> None:
    xs, ys = [point.x for point in chart.points], [point.y for point in chart.points]
    alpha = max(0.1, min(0.7, 300 / len(xs)))
    axes.scatter(xs, ys, s=14, alpha=alpha, linewidths=0, color=_BLUE, rasterized=len(xs) > 5_000)
    across = [point.x for point in chart.line]
    medians = [point.y for point in chart.line]
    if chart.x.names:
        axes.hlines(
            medians, [x - 0.3 for x in across], [x + 0.3 for x in across], color=_ORANGE, lw=2
        )
    else:
        axes.plot(across, medians, color=_ORANGE, linewidth=1.4)
    if chart.best:
        axes.scatter(
            chart.best.x, chart.best.y, s=70, facecolors="none", edgecolors="black", linewidths=1.3
        )
    _dress(axes, chart.x, chart.y)


@_draw.register
def _spread(chart: Spread, axes: Any) -> None:
    for number, line in enumerate(chart.series):
        colour, marker, dash = _STYLES[number % len(_STYLES)]
        shift = 0.06 * (number - (len(chart.series) - 1) / 2) if chart.x.names else 0.0
        axes.errorbar(
            [mean.at + shift for mean in line.means],
            [mean.mean for mean in line.means],
            yerr=_bars(line.means, chart.y),
            color=colour,
            marker=marker,
            markersize=4.5,
            linestyle=dash,
            linewidth=1.3,
            capsize=2.5,
            elinewidth=0.9,
            label=line.name or None,
        )
    if len(chart.series) > 1:
        for text in axes.legend(fontsize=7.5, frameon=False, handlelength=3).get_texts():
            text.set_parse_math(False)
    _dress(axes, chart.x, chart.y)


@_draw.register
def _ranking(chart: Ranking, axes: Any) -> None:
    places = [mean.at for mean in chart.means]
    axes.errorbar(
        [mean.mean for mean in chart.means],
        places,
        xerr=_bars(chart.means, chart.value),
        color=_BLUE,
        marker="o",
        markersize=4.5,
        linestyle="none",
        capsize=2.5,
        elinewidth=0.9,
    )
    axes.set_yticks(places, chart.names, fontsize=7.5, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlabel(f"mean {chart.value.label}")
    if chart.value.is_log:
        axes.set_xscale("log")


@_draw.register
def _heat_map(chart: HeatMap, axes: Any) -> None:
    from matplotlib.colors import LogNorm, Normalize

    columns, rows = len(chart.x.names or ()), len(chart.y.names or ())
    means = [[float("nan")] * columns for _ in range(rows)]
    for cell in chart.cells:
        means[cell.row][cell.column] = cell.mean
    norm = (LogNorm if chart.value.is_log else Normalize)()
    image = axes.imshow(means, cmap=_COLOURS, norm=norm, origin="lower", aspect="auto")
    axes.set_facecolor("#dddddd")
    axes.figure.colorbar(image, ax=axes).set_label(chart.value.label, parse_math=False)
    if len(chart.cells) <= _NUMBERED_CELLS:
        for cell in chart.cells:
            dark = norm(cell.mean) < 0.55
            axes.text(
                *(cell.column, cell.row, short(cell.mean)),
                ha="center", va="center", fontsize=7, color="white" if dark else "black",
            )  # fmt: skip
    if chart.best:
        corner = (chart.best.column - 0.5, chart.best.row - 0.5)
        for colour, width in (("white", 3.6), ("black", 1.6)):
            axes.add_patch(_frame(corner, colour, width))
    _dress(axes, chart.x, chart.y)


def _frame(corner: tuple[float, float], colour: str, width: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=width, clip_on=False)


@_draw.register
def _histogram(chart: Histogram, axes: Any) -> None:
    axes.stairs(chart.counts, chart.edges, fill=True, color=_BLUE, alpha=0.75)
    axes.set_ylim(0, max(chart.counts) * 1.05)
    axes.yaxis.get_major_locator().set_params(integer=True)
    _dress(axes, chart.x, Axis("jobs"))


def _bars(means: Sequence[Mean], axis: Axis) -> tuple[list[float], list[float]]:
    """Return the lengths of the error bars down and up; on a logarithmic axis, none goes below zero."""
    up = [mean.deviation for mean in means]
    down = [
        min(mean.deviation, mean.mean * 0.95) if axis.is_log else mean.deviation for mean in means
    ]
    return down, up


def _dress(axes: Any, x: Axis, y: Axis) -> None:
    for axis, dimension, is_x in ((x, axes.xaxis, True), (y, axes.yaxis, False)):
        dimension.set_label_text(axis.label)
        if axis.names is not None:
            upright = is_x and sum(map(len, axis.names)) > _UPRIGHT
            dimension.set_ticks(
                range(len(axis.names)), axis.names,
                rotation=90 if upright else 0, fontsize=8, parse_math=False,
            )  # fmt: skip
        elif axis.is_log:
            (axes.set_xscale if is_x else axes.set_yscale)("log")
        if axis.ticks is not None:
            dimension.set_ticks(axis.ticks, [short(tick) for tick in axis.ticks])
            dimension.set_ticks([], minor=True)
