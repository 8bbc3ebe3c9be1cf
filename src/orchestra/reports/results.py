"""The results in a report: the best rows, plots and all rows, as far as there is room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from orchestra.domain import flat_values, human, result_ranking, results
from orchestra.domain.charts import choice
from orchestra.domain.models.tasks import Task
from orchestra.domain.result_ranking import Goal
from orchestra.domain.results import Column, ColumnSource, Row, Table
from orchestra.interface.answers.task_reports import Report
from orchestra.reports import charts
from orchestra.reports.blocks import table
from orchestra.reports.markup import Markup, element

ROWS, COLUMNS, BEST = 200, 20, 10
_CELL = 60


def best_rows(found: Table, task: Task, goal: Goal | None) -> Iterator[Markup]:
    if goal is None:
        return
    best = result_ranking.best(found, goal, BEST)
    which = "highest" if goal.highest else "lowest"
    columns = _columns(found, first=goal.column)
    yield _rows(f"The jobs with the {which} {goal.column.name}", task, columns, best.rows)


def plots(found: Table, goal: Goal | None) -> Iterator[Markup]:
    drawing = choice.choose(found, choice.metric_of(found, goal))
    if drawing.charts:
        yield element("div", *map(charts.figure, drawing.charts), class_="charts")
    yield from (element("p", note, class_="soft") for note in drawing.notes)


def all_rows(report: Report, found: Table, goal: Goal | None) -> Iterator[Markup]:
    task, rows = report.shown.task, found.rows
    if goal:
        rows = result_ranking.ordered(found, goal.column, descending=goal.highest).rows
    yield from _results_in_words(report, found)
    if len(rows) > (BEST if goal else 0):  # else they have all been shown
        order = f"best {goal.column.name} first" if goal else "in the order of the configs"
        left_out = len(rows) - ROWS
        more = f"; {human.count(left_out, 'more row')} left out" if left_out > 0 else ""
        title = f"{human.count(min(len(rows), ROWS), 'job')}, {order}{more}"
        first = goal.column if goal else None
        yield _rows(title, task, _columns(found, first=first), rows[:ROWS])


def _results_in_words(report: Report, found: Table) -> Iterator[Markup]:
    task, known = report.shown.task, len(report.results.jobs)
    if not found.rows:
        yield element("p", "No job is done yet, so there are no results.")
    elif known < task.counts.done and task.jobs > known:
        sample = f"{human.number(known)} of {human.count(task.counts.done, 'result')}"
        yield element(
            "p",
            f"Plots and tables are of {sample}: a random sample, and the best ones.",
            class_="note",
        )
    if len(counted := Counter(job.revision for job in report.results.jobs)) > 1:
        revisions = [f"{n} ({human.count(counted[n], 'job')})" for n in sorted(counted)]
        yield element(
            "p",
            f"They are of several revisions of the task: {human.listed(revisions)}.",
            class_="note",
        )
    if noted := [row for row in found.rows if row.note]:
        first = f"job {task.id}/{noted[0].job}: {noted[0].note}"
        yield element(
            "p", f"{human.count(len(noted), 'row has', 'rows have')} a note; {first}", class_="soft"
        )
    same = [
        f"{column.name} {_cell(value)}"
        for column in _of_users(found)
        if len(found.rows) > 1
        and not results.varies(found, column)
        and (value := next((v for v in map(column.of, found.rows) if v is not None), None))
        is not None
    ]
    if same:
        yield element(
            "p", f"The same in all rows: {human.listed(same, most=COLUMNS)}.", class_="soft"
        )


def _of_users(found: Table) -> list[Column]:
    return found.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH, ColumnSource.METRICS)


def _columns(found: Table, *, first: Column | None = None) -> list[Column]:
    """The columns to show: job, values and metrics that vary, how long it took and where."""
    varied = [c for c in _of_users(found) if c != first and results.varies(found, c)]
    ends = [column for column in results.RUN if column.key in ("seconds", "node")]
    named = [] if found.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH) else [results.CONFIG]
    lead = [first] if first else []
    return [results.JOB, *lead, *named, *varied[: COLUMNS - len(lead)], *reversed(ends)]


def _rows(title: str, task: Task, columns: Sequence[Column], rows: Sequence[Row]) -> Markup:
    kinds = [
        "number" if all(isinstance(c.of(row), int | float | None) for row in rows) else ""
        for c in columns
    ]
    body = [
        [f"{task.id}/{row.job}" if c == results.JOB else _cell(c.of(row)) for c in columns]
        for row in rows
    ]
    names = [c.key if c in results.RUN else human.one_line(c.name, 40) for c in columns]
    return table(title, names, body, kinds)


def _cell(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else flat_values.as_text(value)
    return human.one_line(text, _CELL)
