"""What to draw of a table of results: decided by what varies, or as asked."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from orchestra.domain import human
from orchestra.domain.charts import axes, build
from orchestra.domain.charts.build import Metric
from orchestra.domain.charts.models import Chart, HeatMap, Kind
from orchestra.domain.errors import BadInput
from orchestra.domain.result_ranking import Goal
from orchestra.domain.results import Column, ColumnSource, Row, Table
from orchestra.domain.wording import Field, words

PANELS = 12
_SPARSE = 0.5
"""A heat map is drawn by itself only if at least this share of its cells has a job."""
_REPEATED = 1.5
"""Averages are drawn by themselves only if at least so many jobs agree on average."""
_REPEATS = frozenset(
    {"seed", "seeds", "rng", "fold", "repeat", "replicate", "replica", "repetition"}
)
"""Words that name a repetition, at any place of a name: torch_seed. And `random_state`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user asked for. Empty fields leave the choice to what varies.

    Args:
        kinds: only charts of these kinds.
        over: take these values as repetitions, instead of those whose names say so.
        against: draw against these values only.
    """

    kinds: frozenset[Kind] = frozenset()
    over: tuple[Column, ...] = ()
    against: tuple[Column, ...] = ()


WHAT_VARIES = Asked()


@dataclass(frozen=True, slots=True)
class Drawing:
    """Charts, and sentences about what they do not show."""

    charts: tuple[Chart, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Varied:
    """The rows with a finite metric, the values that vary among them, and those of these that are repetitions."""

    rows: Sequence[Row]
    metric: Metric
    values: tuple[Column, ...]
    repeats: tuple[Column, ...]

    @property
    def jobs_a_group(self) -> float:
        """How many jobs agree in all values but the repetitions, on average."""
        groups = build.grouped(self.rows, self.values) if self.repeats else self.rows
        return len(self.rows) / len(groups)

    def over(self) -> str:
        """Over what the means are: "over 5 jobs (seed)"."""
        sizes = {len(group) for group in build.grouped(self.rows, self.values).values()}
        few, many = min(sizes), max(sizes)
        jobs = human.count(many, "job") if few == many else f"{few} to {human.count(many, 'job')}"
        names = human.listed([human.one_line(each.name, 30) for each in self.repeats], most=3)
        return f"over {jobs} ({names})" if self.repeats else f"over {jobs}"


def choose(table: Table, metric: Metric | None, asked: Asked = WHAT_VARIES) -> Drawing:
    """Decide what to draw of a table, at most twelve charts.

    Raises:
        BadInput: what was asked for cannot be drawn.
    """
    charts: list[Chart] = []
    notes: list[str] = []
    usage = list(build.usage(table.rows)) if Kind.USAGE in (asked.kinds or Kind) else []
    rows = [row for row in table.rows if metric and axes.is_drawable(metric.column.of(row))]
    if metric and rows and asked.kinds != {Kind.USAGE}:
        varied = _varied(table, rows, metric, asked)
        if asked.over:
            _check_seeds(varied)
        if asked.kinds:
            charts += _asked_for(varied, asked.kinds, notes)
        else:
            charts += _by_what_varies(varied, notes) or [_of_the_metric(varied)]
        if missing := len(table.rows) - len(rows):
            notes.append(f"{human.count(missing, 'job has', 'jobs have')} no finite {metric.name}.")
    room = PANELS - len(usage)
    if len(charts) > room:
        notes.append(f"{human.count(len(charts) - room, 'chart does', 'charts do')} not fit.")
    return Drawing((*charts[:room], *usage), tuple(notes))


def metric_of(table: Table, goal: Goal | None) -> Metric | None:
    """Return the metric to draw: the goal's, else the first one with different numbers, of which none is best."""
    if goal:
        return Metric(goal.column, goal.highest)
    for column in table.from_sources(ColumnSource.METRICS, ColumnSource.BOTH):
        if len(set(filter(axes.is_drawable, map(column.of, table.rows)))) > 1:
            return Metric(column, None)
    return None


def is_repeat(name: str) -> bool:
    """Whether a value's name says that it tells repetitions of the same job apart: `seed`, `model.random_state`."""
    last = name.rpartition(".")[2]
    parts = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", last).lower())
    return bool(_REPEATS & set(parts)) or parts in (["random", "state"], ["randomstate"])


def _varied(table: Table, rows: Sequence[Row], metric: Metric, asked: Asked) -> _Varied:
    columns = table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH)
    found = build.values_of(rows, [each for each in columns if each != metric.column])
    varied = [column for column, values in found.items() if len(values) > 1]
    repeats = [c for c in varied if (c in asked.over if asked.over else is_repeat(c.key))]
    values = [column for column in varied if column not in repeats]
    if repeats:  # a text that is different in each job is a name
        values = [c for c in values if not _is_name(found[c], rows)]
    if asked.against:
        values = list(asked.against)
        repeats = [column for column in varied if column not in values]
    for column in (*asked.against, *asked.over):
        if len(axes.distinct([column.of(row) for row in rows])) < 2:
            raise BadInput(f'"{human.one_line(column.name)}" is the same in all jobs.')
    return _Varied(rows, metric, tuple(values), tuple(repeats))


def _is_name(values: Sequence[object], rows: Sequence[Row]) -> bool:
    return len(values) == len(rows) and not any(map(axes.is_drawable, values))


def _of_the_metric(varied: _Varied) -> Chart:
    return build.histogram(varied.metric.name, [varied.metric.of(row) for row in varied.rows])


def _by_what_varies(varied: _Varied, notes: list[str]) -> list[Chart]:
    charts: list[Chart] = []
    averages = varied.jobs_a_group >= _REPEATED
    if averages and varied.values:
        charts += _seeds(varied)
    if not averages or len(varied.values) > 2 or not charts:
        charts += _jobs(varied, notes)
    if len(varied.values) == 2:
        chart = build.heat_map(varied.rows, *varied.values, varied.metric)
        charts += [chart] if chart and _is_grid(chart) else []
    return charts


def _is_grid(chart: HeatMap) -> bool:
    columns, rows = len(chart.x.names or ()), len(chart.y.names or ())
    enough = len(chart.cells) >= _SPARSE * columns * rows
    return enough and min(columns, rows) > 1 and len(chart.cells) > max(columns, rows)


def _jobs(varied: _Varied, notes: list[str]) -> Iterator[Chart]:
    """A point for each job, against each value; against the seeds if nothing else varies."""
    left_out = []
    for column in varied.values or varied.repeats:
        chart = build.points(varied.rows, column, varied.metric)
        if chart is None:
            left_out.append(human.one_line(column.name, 40))
        elif varied.values:
            yield chart
        else:
            yield replace(chart, caption=build.in_words(varied.rows, varied.metric))
    if left_out:
        notes.append(f"Too many different texts to draw: {human.listed(left_out, most=6)}.")


def _seeds(varied: _Varied) -> list[Chart]:
    """Lines with their spread for one or two values, else the best combinations."""
    rows, values, metric, over = varied.rows, varied.values, varied.metric, varied.over()
    found = build.values_of(rows, values)
    # The value with more numbers makes the longer lines.
    ordered = sorted(
        values,
        key=lambda c: (sum(map(axes.is_drawable, found[c])), len(found[c])),
        reverse=True,
    )
    chart: Chart | None = None
    if len(ordered) == 1:
        chart = build.spread(rows, ordered[0], None, metric, over)
    elif len(ordered) == 2:
        chart = build.spread(rows, ordered[0], ordered[1], metric, over)
    groups = list(build.grouped(rows, values).values())
    return [chart or build.ranking(groups, values, metric, over)]


def _asked_for(varied: _Varied, kinds: Collection[Kind], notes: list[str]) -> Iterator[Chart]:
    if Kind.SEEDS in kinds:
        _check_seeds(varied)
        yield from _seeds(varied) if varied.values else _jobs(varied, notes)
    if Kind.SCATTER in kinds:
        yield from _jobs(varied, notes)
    if Kind.HEATMAP in kinds:
        yield _heat_map(varied)


def _check_seeds(varied: _Varied) -> None:
    if varied.jobs_a_group > 1:
        return
    if not varied.repeats:
        raise BadInput(
            "no value is known as a seed, so there is nothing to average over.",
            hint=words(Field.OVER("NAME"), " names a value that tells repetitions apart."),
        )
    names = human.listed([human.one_line(each.name, 40) for each in varied.repeats], most=4)
    raise BadInput(f"no two jobs differ only in {names}, so there is nothing to average over.")


def _heat_map(varied: _Varied) -> Chart:
    names = [human.one_line(column.name, 40) for column in varied.values]
    if len(varied.values) != 2:
        vary = (
            f"{human.listed(names, most=6)} vary"
            if len(names) > 1
            else f"only {names[0]} varies"
            if names
            else "none varies"
        )
        raise BadInput(
            f"a heat map needs two values, and {vary}.",
            hint=words(Field.AGAINST("A,B"), " selects two.") if len(names) > 2 else None,
        )
    chart = build.heat_map(varied.rows, *varied.values, varied.metric)
    if chart is None:
        raise BadInput(
            f"{names[0]} or {names[1]} has more than {build.CELLS} different values, too many for a heat map."
        )
    return chart
