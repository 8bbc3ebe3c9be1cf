"""What is drawn of results: chosen by what varies, or as asked; and the scales of the drawings."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestra.cli import plot_drawing
from orchestra.domain import result_ranking
from orchestra.domain.charts import choice
from orchestra.domain.charts.axes import LARGEST, of_numbers
from orchestra.domain.charts.build import Metric, histogram
from orchestra.domain.charts.choice import Asked, Drawing, is_repeat
from orchestra.domain.charts.models import (
    HeatMap,
    Histogram,
    Kind,
    Points,
    Ranking,
    Spread,
)
from orchestra.domain.charts.scale import scale_of, short
from orchestra.domain.errors import BadInput
from orchestra.domain.results import Row, Table, table_of
from orchestra.domain.usage import Usage
from orchestra.reports import charts

LRS, WIDTHS = (0.001, 0.01, 0.1), (8, 16, 32)
Config = dict[str, Any]


def table(configs: Sequence[Config], metric: Callable[[Config], Any] = lambda c: c["lr"]) -> Table:
    return table_of(
        [
            Row(
                *(number, f"{number}.json"),
                seconds=1.0 + number,
                usage=Usage(1.0, 10**8 + number),
                values=config,
                metrics={"accuracy": metric(config)},
            )
            for number, config in enumerate(configs)
        ]
    )


def grid(**values: Sequence[Any]) -> list[Config]:
    configs: list[Config] = [{}]
    for name, each in values.items():
        configs = [{**config, name: value} for config in configs for value in each]
    return configs


def draw(of: Table, *kinds: Kind, over: str = "", against: str = "") -> Drawing:
    goal = result_ranking.goal(of)
    metric = Metric(goal.column, goal.highest) if goal else None
    columns = [tuple(map(of.find, filter(None, names.split(",")))) for names in (over, against)]
    return choice.choose(of, metric, Asked(frozenset(kinds), *columns))


def kinds(drawing: Drawing) -> list[type]:
    return [type(chart) for chart in drawing.charts[:-2]]


def test_usage_is_always_drawn() -> None:
    *_, duration, memory = draw(table(grid(lr=LRS))).charts
    assert isinstance(duration, Histogram)
    assert isinstance(memory, Histogram)
    assert (duration.x.label, sum(duration.counts)) == ("duration (s)", 3)
    assert (memory.x.label, memory.caption) == ("peak memory (MB)", "median 100 MB")


def test_one_value_is_a_scatter_with_medians_and_a_ring_around_the_best() -> None:
    drawing = draw(table(grid(lr=LRS, copy=[1]) * 2))
    assert kinds(drawing) == [Points]
    (chart, *_) = drawing.charts
    assert isinstance(chart, Points)
    assert (chart.title, chart.caption) == ("accuracy against lr", "line: median; ring: best, 0.1")
    assert (chart.x.is_log, chart.x.ticks, chart.x.names) == (True, LRS, None)
    assert [(point.x, point.y) for point in chart.line] == [(lr, lr) for lr in LRS]
    assert chart.best is not None
    assert chart.best.y == 0.1


def test_two_values_also_have_a_heat_map() -> None:
    drawing = draw(table(grid(lr=LRS, width=WIDTHS) * 2))
    assert kinds(drawing) == [Points, Points, HeatMap]
    chart = drawing.charts[2]
    assert isinstance(chart, HeatMap)
    assert (chart.x.names, chart.y.names) == (("0.001", "0.01", "0.1"), ("8", "16", "32"))
    assert {cell.jobs for cell in chart.cells} == {2}
    assert chart.best is not None
    assert (chart.best.column, chart.caption) == (
        2,
        "mean of up to 2 jobs a cell; framed: best, 0.1",
    )


def test_a_random_search_has_no_heat_map_unless_asked() -> None:
    of = table([{"lr": 1 / (1 + n), "width": n} for n in range(25)])
    assert kinds(draw(of)) == [Points, Points]
    assert isinstance(draw(of, Kind.HEATMAP).charts[0], HeatMap)
    with pytest.raises(BadInput, match="more than 30 different values"):
        draw(table([{"lr": 1 / (1 + n), "width": n} for n in range(31)]), Kind.HEATMAP)


def test_seeds_are_averaged_with_their_spread() -> None:
    of = table(grid(lr=LRS, seed=(0, 1, 2)), lambda c: c["lr"] + c["seed"])
    (chart, *_) = draw(of).charts
    assert isinstance(chart, Spread)
    assert chart.caption == "mean and standard deviation over 3 jobs (seed)"
    (series,) = chart.series
    assert [mean.jobs for mean in series.means] == [3, 3, 3]
    assert series.means[0].mean == pytest.approx(1.001)
    assert series.means[0].deviation == pytest.approx(1)


def test_seeds_with_two_values_are_lines_and_a_heat_map() -> None:
    drawing = draw(table(grid(lr=LRS, model=("a", "b"), seed=(0, 1))))
    assert kinds(drawing) == [Spread, HeatMap]
    (chart, *_) = drawing.charts
    assert isinstance(chart, Spread)
    assert [series.name for series in chart.series] == ["model a", "model b"]


def test_seeds_with_three_values_rank_the_combinations() -> None:
    drawing = draw(table(grid(lr=LRS, width=WIDTHS, model=("a", "b"), seed=(0, 1))))
    assert kinds(drawing) == [Ranking, Points, Points, Points]
    (chart, *_) = drawing.charts
    assert isinstance(chart, Ranking)
    assert len(chart.names) == 12
    assert chart.names[0] == "lr 0.1, width 8, model a"
    assert chart.caption.startswith("the best 12 of 18, mean and standard deviation over 2 jobs")


def test_the_lowest_is_first_where_it_is_best() -> None:
    of = table(grid(lr=LRS, width=WIDTHS, model=("a", "b"), seed=(0, 1)))
    metric = Metric(of.find("accuracy"), highest=False)
    chart = choice.choose(of, metric, Asked(frozenset({Kind.SEEDS}))).charts[0]
    assert isinstance(chart, Ranking)
    assert chart.names[0].startswith("lr 0.001")


def test_only_the_seed_varies() -> None:
    (chart, *_) = draw(table(grid(seed=range(4)), lambda c: c["seed"])).charts
    assert isinstance(chart, Points)
    assert (chart.title, chart.caption) == (
        "accuracy against seed",
        "mean 1.5, standard deviation 1.291",
    )


def test_a_name_that_is_different_in_each_job_does_not_prevent_averages() -> None:
    configs = [{**each, "name": f"run {n}"} for n, each in enumerate(grid(lr=LRS, seed=(0, 1)))]
    assert kinds(draw(table(configs))) == [Spread]


def test_over_and_against_say_what_to_average_and_what_to_draw() -> None:
    of = table(grid(lr=LRS, width=WIDTHS, copy=(1, 2)))
    assert kinds(draw(of)) == [Points, Points, Points]
    assert kinds(draw(of, over="copy")) == [Spread, HeatMap]
    drawing = draw(of, against="width")
    assert [chart.title for chart in drawing.charts[:1]] == ["mean accuracy against width"]
    assert drawing.charts[0].caption.endswith("over 6 jobs (lr and copy)")
    assert draw(of, Kind.SCATTER, against="run.seconds").charts[0].title.endswith("run.seconds")


def every_kind() -> dict[type, Any]:
    """A chart of every kind; with dollar signs, which are no formulas, and spread below zero on a logarithmic axis."""
    names = ("$x_1$", "<b> & a very long name")
    three = grid(lr=LRS, width=WIDTHS, model=names, seed=(0, 1))
    two = grid(lr=LRS, model=names, seed=(0, 1))
    drawn = [
        *draw(table(three)).charts,
        *draw(table(two, lambda c: c["lr"] ** (1 + c["seed"]))).charts,
    ]
    found = {type(chart): chart for chart in drawn}
    assert found.keys() == {Points, Spread, Ranking, HeatMap, Histogram}
    return found


def test_every_kind_is_drawn_in_a_report() -> None:
    for chart in every_kind().values():
        ElementTree.fromstring(charts.figure(chart))


def test_every_kind_is_drawn_by_matplotlib() -> None:
    from matplotlib.figure import Figure

    file = io.BytesIO()
    figure = plot_drawing.draw(Figure, "a $title$", tuple(every_kind().values()))
    figure.savefig(file, format="png", dpi=30)
    assert file.getvalue().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"kinds": [Kind.HEATMAP]}, "a heat map needs two values, and lr, width and model vary."),
        ({"kinds": [Kind.SEEDS]}, "no value is known as a seed"),
        ({"over": "fixed"}, '"fixed" is the same in all jobs.'),
        ({"over": "model"}, "no two jobs differ only in model"),
    ],
)
def test_what_cannot_be_drawn_is_said(asked: dict[str, Any], sentence: str) -> None:
    configs = grid(lr=LRS, width=WIDTHS, fixed=[1])
    of = table([{**each, "model": "ab"[n % 2]} for n, each in enumerate(configs)])
    with pytest.raises(BadInput, match=sentence):
        draw(of, *asked.pop("kinds", ()), **asked)


def test_metrics_that_are_not_numbers_are_counted_not_drawn() -> None:
    values = iter([0.5, math.nan, math.inf, "diverged"])
    drawing = draw(table([{"lr": lr} for lr in (1, 2, 3, 4)], lambda _: next(values)))
    assert kinds(drawing) == [Histogram]
    assert drawing.notes == ("3 jobs have no finite accuracy.",)


def test_without_a_known_metric_only_usage_is_drawn() -> None:
    rows = [Row(n, "", seconds=60.0 * n, metrics={"x": n}) for n in range(1, 9)]
    drawing = choice.choose(table_of(rows), None)
    assert [chart.title for chart in drawing.charts] == ["duration of 8 jobs"]
    assert drawing.charts[0].caption == "median 4.5 min"


def test_a_metric_whose_name_says_nothing_is_drawn_without_a_best_job() -> None:
    rows = [Row(n, "", values={"lr": n}, metrics={"s": "x", "one": 1, "x": n}) for n in range(4)]
    metric = choice.metric_of(table_of(rows), None)
    assert metric is not None
    assert (metric.name, metric.highest) == ("x", None)
    (chart, *_) = choice.choose(table_of(rows), metric).charts
    assert isinstance(chart, Points)
    assert (chart.title, chart.caption, chart.best) == ("x against lr", "", None)
    assert choice.metric_of(table_of(rows[:1]), None) is None


def test_texts_are_categories_and_too_many_are_left_out() -> None:
    of = table([{"lr": 1.0, "kind": "ab"[n % 2], "id": f"x{n % 31}"} for n in range(62)])
    drawing = draw(of)
    assert kinds(drawing) == [Points]
    (chart, *_) = drawing.charts
    assert isinstance(chart, Points)
    assert chart.x.names == ("a", "b")
    assert all(abs(point.x - round(point.x)) <= 0.25 for point in chart.points)
    assert drawing.notes == ("Too many different texts to draw: id.",)


def test_numbers_from_zero_over_decades_are_categories_in_their_order() -> None:
    configs = [{"lr": decay} for decay in (1e-2, 0, 1e-4, 1e-3)]
    (chart, *_) = draw(table(configs)).charts
    assert isinstance(chart, Points)
    assert chart.x.names == ("0", "0.0001", "0.001", "0.01")


@pytest.mark.parametrize(
    ("values", "is_log"),
    [
        ([0.001, 0.01, 0.1], True),
        ([8, 16, 32, 64], False),
        ([n / 100 for n in range(1, 100)], False),  # a few outliers near zero
        ([10 ** (-n / 20) for n in range(100)], True),
        ([0.0, 0.01, 1.0], False),
        ([-1.0, 0.01, 100.0], False),
    ],
)
def test_axes_are_logarithmic_where_numbers_span_decades(values: list[float], is_log: bool) -> None:
    assert of_numbers("x", values).is_log is is_log


def test_at_most_twelve_charts() -> None:
    drawing = draw(table([{f"v{n}": i for n in range(20)} | {"lr": i} for i in range(1, 4)]))
    assert len(drawing.charts) == 12
    assert drawing.notes == ("11 charts do not fit.",)
    assert drawing.charts[-1].title == "peak memory of 3 jobs"


@pytest.mark.parametrize(
    ("name", "repeats"),
    [
        ("seed", True), ("train.seed", True), ("torch_seed", True), ("randomState", True),
        ("random_state", True), ("cv.fold", True), ("seeding", False), ("random", False),
        ("seed.size", False), ("state", False), ("unfold", False),
    ],
)  # fmt: skip
def test_names_that_tell_repetitions_apart(name: str, repeats: bool) -> None:
    assert is_repeat(name) is repeats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1e-5, "1e−5"), (0.001, "0.001"), (0.98222, "0.9822"), (12000, "12,000"),
        (-3.5, "−3.5"), (2.5e9, "2.5e9"), (1e300, "1e300"),
    ],
)  # fmt: skip
def test_short_numbers(value: float, text: str) -> None:
    assert short(value) == text.replace("\N{MINUS SIGN}", "\u2212")


finite = st.floats(min_value=-LARGEST, max_value=LARGEST)
positive = st.floats(min_value=1 / LARGEST, max_value=LARGEST)


@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=20), st.booleans())
def test_a_scale_holds_all_values_in_their_order(values: list[float], zero: bool) -> None:
    values = [abs(value) for value in values] if zero else values
    _check(values, is_log=False, zero=zero)


def test_a_scale_of_large_numbers_close_together() -> None:
    for values in ([1e15, 1e15 + 1], [1e16, 1e16 + 2], [5e-324], [0.1 + 0.2, 0.3]):
        _check(values, is_log=False, zero=False)


@settings(deadline=None)
@given(st.lists(positive, min_size=1, max_size=20))
def test_so_does_a_logarithmic_one(values: list[float]) -> None:
    _check(values, is_log=True, zero=False)


def _check(values: list[float], *, is_log: bool, zero: bool) -> None:
    scale = scale_of(values, is_log=is_log, zero=zero)
    places = [scale.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(0 <= place <= 1 for place in places)
    ticks = scale.ticks()
    assert len(ticks) <= 16
    assert ticks == sorted(ticks)
    assert all(scale.low <= tick <= scale.high for tick in ticks)


@example([5e-324])
@settings(deadline=None)
@given(st.lists(finite, min_size=1, max_size=50))
def test_a_histogram_counts_every_value(values: list[float]) -> None:
    chart = histogram("x", values)
    assert sum(chart.counts) == len(values)
    assert len(chart.edges) == len(chart.counts) + 1
    assert list(chart.edges) == sorted(chart.edges)
