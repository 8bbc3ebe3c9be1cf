"""`maestro task plot`: a metric against the values of the configs, durations and peak memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.cli import result_reading
from orchestra.cli.output import clean
from orchestra.cli.task_select import one_task
from orchestra.domain import flat_values, human, result_ranking
from orchestra.domain.charts import choice
from orchestra.domain.charts.build import Metric
from orchestra.domain.charts.choice import Asked
from orchestra.domain.charts.models import Kind
from orchestra.domain.errors import BadInput, Refused
from orchestra.domain.goals import DIRECTIONS, direction
from orchestra.domain.results import Column, Table
from orchestra.files.beside import write_beside

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.goals import StatedGoal

_ENDINGS = (".png", ".pdf", ".svg")


def plot_arguments(parser: Parser) -> None:
    """Add the arguments of `task plot`."""
    one_task(parser)
    parser.add_argument(
        *("-m", "--metric"),
        metavar="COLUMN",
        help="metric to plot (default: the one that `task results --best` uses)",
    )
    result_reading.direction_argument(parser)
    parser.add_argument(
        "--kind",
        action="append",
        default=[],
        choices=[kind.value for kind in Kind],
        help="plot only this: a point for each job, the mean for each pair of two values, the mean and spread over "
        "seeds, or durations and memory; can be repeated (default: what suits the values that vary)",
    )
    parser.add_argument(
        "--over",
        metavar="A,B",
        help="values that tell repetitions of a job apart (default: those named seed, random_state, fold, ...)",
    )
    parser.add_argument(
        "--against", metavar="A,B", help="values to plot against (default: all that vary)"
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
    from orchestra.cli import plot_drawing

    sources, table = result_reading.read(ctx)
    task = sources.task
    if not table.rows:
        raise Refused(
            f"no job of task {task.id} ({task.name}) is done yet, so there is nothing to plot."
        )
    metric = _metric(ctx, table, result_reading.stated_goal(task))
    drawing = choice.choose(table, metric, _asked(ctx, table, metric))
    if not drawing.charts:
        raise Refused(f"the results of task {task.id} ({task.name}) have no numbers to plot.")
    title = f"{clean(task.name)} (task {task.id}), {human.count(len(table.rows), 'job')}"
    figure = plot_drawing.draw(figure_type, title, drawing.charts)
    out = out or Path(f"{task.name}.png")
    write_beside(out, lambda file: figure.savefig(file, format=out.suffix.lower()[1:], dpi=120))
    ctx.out.say(str(out))
    ctx.out.note(f"Plotted: {human.listed([chart.title for chart in drawing.charts])}")
    if metric is None:
        ctx.out.note("No metric has numbers that differ; -m NAME plots another column.")
    elif metric.highest is None and ctx.args.metric is None:
        ctx.out.note("No metric is known by its name: -m NAME plots another one than the first.")
    if drawing.notes:
        ctx.out.note(*drawing.notes)


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


def _metric(ctx: Context, table: Table, stated: StatedGoal | None) -> Metric | None:
    name, asked = ctx.args.metric, DIRECTIONS.get(ctx.args.direction)
    goal = result_ranking.goal(table, stated, highest=asked)
    if name is None:
        return choice.metric_of(table, goal)
    column = table.find(name)
    if not any(flat_values.is_finite(column.of(row)) for row in table.rows):
        raise BadInput(f'"{name}" has no numbers to plot.')
    if goal and goal.column == column:
        return Metric(column, goal.highest)
    return Metric(column, direction(column.key) if asked is None else asked)


def _asked(ctx: Context, table: Table, metric: Metric | None) -> Asked:
    kinds = frozenset(map(Kind, ctx.args.kind))
    if kinds - {Kind.USAGE} and metric is None:
        raise BadInput("no metric has numbers that differ.", hint="-m NAME plots another column.")
    return Asked(
        kinds,
        _columns(table, "--over", ctx.args.over),
        _columns(table, "--against", ctx.args.against),
    )


def _columns(table: Table, option: str, text: str | None) -> tuple[Column, ...]:
    if text is None:
        return ()
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadInput(f'{option} "{text}" names no column.', hint=f"{option} seed")
    return tuple(dict.fromkeys(map(table.find, names)))
