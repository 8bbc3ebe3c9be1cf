"""The results of a task: the best, what varies, plots, a table that can be filtered, sorted and grouped, downloads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from markupsafe import Markup
from starlette.responses import Response

from orchestra.api.call import Call
from orchestra.api.endpoints import Endpoint
from orchestra.api.results import PARAMETERS, query_of
from orchestra.domain import human, result_query, result_ranking, result_text, stored_results, where
from orchestra.domain.charts import choice
from orchestra.domain.charts.build import Metric
from orchestra.domain.charts.choice import Asked, Drawing
from orchestra.domain.charts.models import Kind
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import StatedGoal, direction, parse_goal
from orchestra.domain.models.results import Sources
from orchestra.domain.models.tasks import Task
from orchestra.domain.result_groups import telling
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.result_ranking import Goal
from orchestra.domain.results import Table
from orchestra.domain.sheets import SheetColumn
from orchestra.interface.results import FindResults
from orchestra.reports import charts
from orchestra.web.forms import Form, asked, field_of, number
from orchestra.web.rendering import page

BEST, PAGE = 5, 100
PLOTS = 4
"""Charts that are drawn unless all are asked for: a page has to stay light."""
KEPT = (*PARAMETERS, "metric", "against", "kind", "plots")


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a table: text, and the address of what it leads to."""

    text: str
    path: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """A table as the template takes it. The titles are (name, whether numbers, what sorting by it asks for)."""

    caption: str
    titles: Sequence[tuple[str, bool, str]]
    rows: Sequence[Sequence[Cell]]
    count: int
    notes: Sequence[str] = ()


def show_results(call: Call) -> Response:
    """Show the results of a task.

    Raises:
        BadInput, NotFound: there is no such task.
    """
    form = asked(call)
    sources = call.ask(FindResults(call.params["word"], sample=True))
    task, table = sources.task, stored_results.table(sources)
    stated = parse_goal(task.goal) if task.goal else None
    goal = result_ranking.goal(table, stated)
    first = number(form, "first", 0)
    wrong, query, chosen, shown, drawing = None, ResultQuery(), table, None, Drawing(())
    try:
        query = query_of({name: form.text(name) for name in PARAMETERS})
        chosen = result_query.matching(table, query)
        shown = _table(task, table, chosen, query, stated, first)
        drawing = _drawing(form, chosen, goal)
    except BadInput as error:
        wrong = error
        shown = shown or _table(task, table, table, ResultQuery(), stated, first)
    every = form.ticked("plots")
    return page(
        call,
        "results.html",
        status=422 if wrong else 200,
        here="Tasks",
        task=task,
        form=form,
        kept={name: form.text(name) for name in KEPT if form.text(name)},
        error=wrong,
        wrong=field_of(wrong) if wrong else None,
        best=_best(task, table, goal) if goal else None,
        goal=goal,
        matching=len(chosen.rows),
        known=len(table.rows),
        results=task.counts.done,
        shown=shown,
        first=first,
        following=first + PAGE if first + PAGE < shown.count else None,
        columns=[column.name for column in table.columns],
        constants=result_text.constants(table) if len(table.rows) > 1 else [],
        plots=[
            Markup(str(charts.figure(each)))  # noqa: S704 - escaped by reports/markup.py
            for each in (drawing.charts if every else drawing.charts[:PLOTS])
        ],
        more_plots=0 if every else max(0, len(drawing.charts) - PLOTS),
        notes=(*drawing.notes, *_notes(sources, table)),
        kinds=[("", "what suits"), *((kind.value, kind.value) for kind in Kind)],
        formats=("csv", "json", *(["parquet"] if find_spec("pyarrow") else [])),
    )


def _table(
    task: Task,
    table: Table,
    chosen: Table,
    query: ResultQuery,
    stated: StatedGoal | None,
    first: int,
) -> Shown:
    if query.group_by:
        return _groups(task, chosen, query, stated, first)
    ordered, by = result_query.rows(chosen, query, stated)
    columns = list(ordered.columns) if query.columns else result_text.varying(table, ordered)
    if by is not None and by not in columns:
        columns.insert(1, by)
    seconds = next((each for each in table.columns if each.key == "seconds"), None)
    if seconds and seconds not in columns and not query.columns:
        columns.append(seconds)
    return _shown(
        task,
        human.count(len(ordered.rows), "job"),
        [column.on_sheet for column in columns],
        ordered.rows[first : first + PAGE],
        len(ordered.rows),
        query.sort,
    )


def _groups(
    task: Task, chosen: Table, query: ResultQuery, stated: StatedGoal | None, first: int
) -> Shown:
    groups, sheet = result_query.groups(chosen, query, stated)
    rows = sheet.rows[first : first + PAGE]
    columns = telling(groups, sheet)
    shown = _shown(
        task,
        human.count(len(sheet.rows), "group"),
        columns,
        rows,
        len(sheet.rows),
        query.sort,
        tuple(result_text.about_groups(groups)),
    )
    # The first cell leads to the jobs of the group.
    linked = []
    for row, cells in zip(rows, shown.rows, strict=True):
        values = [(column.name, column.of(row.rows[0])) for column in groups.by]
        condition = where.equal_to(values)
        linked.append([replace(cells[0], path="", where=condition or ""), *cells[1:]])
    return replace(shown, rows=linked)


def _best(task: Task, table: Table, goal: Goal) -> Shown:
    best = result_ranking.best(table, goal, BEST)
    job, *others = (c for c in result_text.varying(table, best) if c != goal.column)
    return _shown(
        task,
        f"The {'highest' if goal.highest else 'lowest'} {human.one_line(goal.column.name, 60)}",
        [column.on_sheet for column in (job, goal.column, *others)],
        best.rows,
        len(best.rows),
        None,
    )


def _shown(
    task: Task,
    caption: str,
    columns: Sequence[SheetColumn[Any]],
    rows: Sequence[Any],
    count: int,
    sort: str | None,
    notes: Sequence[str] = (),
) -> Shown:
    titles = []
    for column in columns:
        right = column.is_number or all(
            isinstance(column.of(row), int | float | None) for row in rows
        )
        back = f"-{column.name}" if sort == column.name else column.name
        titles.append((column.name, right and not column.is_job, back))
    cells = [[_cell(task, column, row) for column in columns] for row in rows]
    return Shown(caption, titles, cells, count, notes)


def _cell(task: Task, column: SheetColumn[Any], row: Any) -> Cell:
    value = column.of(row)
    if column.is_job:
        if value is None:
            return Cell("")
        return Cell(f"{task.id}/{value}", f"/tasks/{task.id}/jobs/{value}")
    return Cell(result_text.cell(value))


def _drawing(form: Form, table: Table, goal: Goal | None) -> Drawing:
    metric = choice.metric_of(table, goal)
    if name := form.text("metric"):
        column = table.find(name)
        known = goal.highest if goal and goal.column == column else direction(column.key)
        metric = Metric(column, known)
    against = tuple(
        dict.fromkeys(
            table.find(each.strip()) for each in form.text("against").split(",") if each.strip()
        )
    )
    kind = form.text("kind")
    if kind and kind not in set(Kind):
        raise BadInput(f'there is no plot "{human.one_line(kind)}".', field="kind")
    kinds = frozenset({Kind(kind)} if kind else ())
    return choice.choose(table, metric, Asked(kinds, against=against))


def _notes(sources: Sources, table: Table) -> list[str]:
    task, known, notes = sources.task, len(sources.jobs), []
    if known < task.counts.done:
        sample = f"{human.number(known)} of {human.count(task.counts.done, 'result')}"
        notes.append(
            f"This page shows {sample}: a random sample, and the best ones. The downloads have all."
        )
    if table.rows and not any(row.metrics for row in table.rows):
        notes.append(f"No job wrote values into {task.metrics_file}.")
    elif noted := sum(row.note is not None for row in table.rows):
        notes.append(
            f"{human.count(noted, 'row has', 'rows have')} a note: inputs changed, or the database does not have a "
            "file's text."
        )
    return notes


ENDPOINTS = (Endpoint("GET", "/tasks/{word}/results", show_results),)
