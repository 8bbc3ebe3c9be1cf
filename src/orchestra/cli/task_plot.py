"""`maestro task plot`: a metric against each value of the configs, durations and peak memory."""

from __future__ import annotations

import random
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.cli import task_results
from orchestra.cli.output import clean
from orchestra.cli.result_files import write_beside
from orchestra.cli.task_select import one_task
from orchestra.domain import flat_values, human, result_ranking
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.results import Column, ColumnSource, Row, Table

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.goals import StatedGoal

_PANELS = 12
_CATEGORIES = 20
_TICKS = 8
_LOGARITHMIC = 20
"""An axis is logarithmic if its values span more than this factor."""
_ENDINGS = (".png", ".pdf", ".svg")

Panel = Callable[[Any], None]
"""Draws into a matplotlib Axes."""


def plot_arguments(parser: Parser) -> None:
    """Add the arguments of `task plot`."""
    one_task(parser)
    parser.add_argument(
        *("-m", "--metric"),
        metavar="COLUMN",
        help="metric to plot (default: the one that `task results --best` uses)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help=".png, .pdf or .svg file to write (default: NAME_OF_THE_TASK.png in the current folder)",
    )


def plot(ctx: Context) -> None:
    """Plot the results of a task into a file."""
    out = _checked(ctx.args.out)
    figure_type = _matplotlib()
    sources, table = task_results.read(ctx)
    task = sources.task
    if not table.rows:
        raise Refused(
            f"no job of task {task.id} ({task.name}) is done yet, so there is nothing to plot."
        )
    metric = _metric(ctx, table, task_results.stated_goal(task))
    panels, left_out = _panels(table, metric)
    if not panels:
        raise Refused(f"the results of task {task.id} ({task.name}) have no numbers to plot.")
    title = f"{clean(task.name)} (task {task.id}), {human.count(len(table.rows), 'job')}; lines are medians"
    figure = _draw(figure_type, title, panels)
    out = out or Path(f"{task.name}.png")
    write_beside(out, lambda file: figure.savefig(file, format=out.suffix.lower()[1:], dpi=120))
    ctx.out.say(str(out))
    if metric is None:
        ctx.out.note("No metric is known by its name: use -m NAME to choose one.")
    if left_out:
        ctx.out.note(f"Not plotted: {human.listed(left_out, most=6)}")


def _checked(out: Path | None) -> Path | None:
    if out is not None and out.suffix.lower() not in _ENDINGS:
        raise BadInput(
            f'--out "{out}" does not end with .png, .pdf or .svg.', hint="For example accuracy.png"
        )
    return out


def _matplotlib() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise Refused(
            "plots need matplotlib, which is not installed.",
            hint="pip install 'orchestra-hpc[plot]'",
        ) from None
    return Figure


def _metric(ctx: Context, table: Table, stated: StatedGoal | None) -> Column | None:
    name = ctx.args.metric
    if name is None:
        goal = result_ranking.goal(table, stated)
        return goal.column if goal else None
    column = table.find(name)
    if not any(flat_values.is_finite(column.of(row)) for row in table.rows):
        raise BadInput(f'"{name}" has no numbers to plot.')
    return column


def _panels(table: Table, metric: Column | None) -> tuple[list[Panel], list[str]]:
    """Return the panels, and the names of the values that cannot be plotted or do not fit."""
    panels: list[Panel] = []
    left_out: list[str] = []
    rows = [row for row in table.rows if metric and flat_values.is_finite(metric.of(row))]
    for column in (
        table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH) if metric and rows else ()
    ):
        if (
            column == metric
            or len({flat_values.as_text(x) for x in map(column.of, rows) if x is not None}) < 2
        ):
            continue
        panel = _against(rows, column, metric) if metric else None
        if panel is None or len(panels) == _PANELS:
            left_out.append(column.name)
        else:
            panels.append(panel)
    if metric and rows and not panels:
        panels.append(_histogram(metric.name, [float(metric.of(row)) for row in rows]))
    panels += _of_the_runs(table.rows)
    return panels, left_out


def _against(rows: Sequence[Row], column: Column, metric: Column) -> Panel | None:
    pairs = [(column.of(row), float(metric.of(row))) for row in rows]
    pairs = [(x, y) for x, y in pairs if x is not None]
    if all(flat_values.is_finite(x) for x, _ in pairs):
        points = [(float(x), y) for x, y in pairs]
        return lambda axes: _scatter(axes, points, column.name, metric.name)
    groups: dict[str, list[float]] = defaultdict(list)
    for x, y in pairs:
        groups[flat_values.as_text(x)].append(y)
    if len(groups) > _CATEGORIES:
        return None
    return lambda axes: _boxes(axes, dict(sorted(groups.items())), column.name, metric.name)


def _scatter(axes: Any, pairs: Sequence[tuple[float, float]], x_name: str, y_name: str) -> None:
    axes.scatter(
        [x for x, _ in pairs], [y for _, y in pairs], s=14, alpha=_alpha(len(pairs)), linewidths=0
    )
    by_x: dict[float, list[float]] = defaultdict(list)
    for x, y in pairs:
        by_x[x].append(y)
    if len(by_x) <= min(_CATEGORIES, len(pairs) / 2):
        medians = [(x, statistics.median(ys)) for x, ys in sorted(by_x.items())]
        axes.plot(*zip(*medians, strict=True), color="C1", linewidth=1.2)
    low, high = min(by_x), max(by_x)
    if low > 0 and high / low >= _LOGARITHMIC:
        axes.set_xscale("log")
    elif len(by_x) <= _TICKS:
        axes.set_xticks(sorted(by_x))
    axes.set(xlabel=clean(x_name), ylabel=clean(y_name))


def _boxes(axes: Any, groups: dict[str, list[float]], x_name: str, y_name: str) -> None:
    axes.boxplot(list(groups.values()), showfliers=False, widths=0.5)
    shake = random.Random(0)  # noqa: S311 - separates the points, the same way each time
    for place, values in enumerate(groups.values(), 1):
        places = [place + shake.uniform(-0.15, 0.15) for _ in values]
        axes.scatter(places, values, s=10, alpha=_alpha(len(values)), linewidths=0)
    labels = [human.one_line(label, 18) for label in groups]
    upright = sum(map(len, labels)) > 40
    axes.set_xticks(
        range(1, len(groups) + 1), labels, rotation=90 if upright else 0, parse_math=False
    )
    axes.set(xlabel=clean(x_name), ylabel=clean(y_name))


def _alpha(points: int) -> float:
    return max(0.05, min(0.7, 300 / points))


def _of_the_runs(rows: Sequence[Row]) -> Iterator[Panel]:
    if seconds := [row.seconds for row in rows if row.seconds is not None]:
        unit, size = next(
            ((u, s) for u, s in (("h", 3600), ("min", 60)) if max(seconds) > 2 * s), ("s", 1)
        )
        yield _histogram(f"duration ({unit})", [each / size for each in seconds])
    if memory := [peak for row in rows if (peak := row.usage.max_rss_bytes) is not None]:
        unit, size = ("GB", 10**9) if max(memory) > 2 * 10**9 else ("MB", 10**6)
        yield _histogram(f"peak memory ({unit})", [each / size for each in memory])


def _histogram(name: str, values: Sequence[float]) -> Panel:
    def draw(axes: Any) -> None:
        axes.hist(values, bins=min(40, max(5, round(len(values) ** 0.5))), color="C2")
        axes.set(xlabel=clean(name), ylabel="jobs")

    return draw


def _draw(figure_type: Any, title: str, panels: Sequence[Panel]) -> Any:
    across = min(3, len(panels))
    down = -(-len(panels) // across)
    figure = figure_type(figsize=(4.2 * across, 3.2 * down + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(down, across, number)
        panel(axes)
        axes.spines[["top", "right"]].set_visible(False)
        axes.xaxis.label.set_parse_math(False)  # a name with dollar signs is a name
        axes.yaxis.label.set_parse_math(False)
    return figure
