"""`maestro task results` with several tasks: their results side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from orchestra.cli import result_reading
from orchestra.cli.output import clean
from orchestra.cli.result_tables import print_sheet, shown, write_sheet
from orchestra.domain import human, result_comparison
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.models.tasks import Task
    from orchestra.domain.result_comparison import Comparison
    from orchestra.domain.result_query import ResultQuery


def compare(ctx: Context, form: str, query: ResultQuery, labels: Sequence[str]) -> None:
    """Show the results of several tasks; `labels` are their names as they were typed."""
    if query.group_by:
        raise BadInput("--group-by takes one task.")
    read = [result_reading.read(ctx, label) for label in labels]
    tasks = [sources.task for sources, _ in read]
    _check_different(tasks)
    goals = [result_reading.stated_goal(task) for task in tasks]
    found = result_comparison.compared(
        [table for _, table in read], labels, query, next(filter(None, goals), None)
    )
    if not write_sheet(ctx, form, found.sheet):
        _print(ctx, query, found, tasks)
    for note in _notes(found, labels, tasks):
        ctx.out.note(note)


def _check_different(tasks: Sequence[Task]) -> None:
    for place, task in enumerate(tasks):
        if task.id in [each.id for each in tasks[:place]]:
            raise BadInput(f"task {task.id} ({task.name}) is named twice.")


def _print(ctx: Context, query: ResultQuery, found: Comparison, tasks: Sequence[Task]) -> None:
    sheet = found.sheet
    of_jobs = {name: task.id for name, task in zip(found.jobs, tasks, strict=True)}
    print_sheet(
        ctx,
        sheet,
        [shown(column, sheet.rows, of_jobs.get(column.name, 0)) for column in found.telling],
        keep={*of_jobs, "diff"},
        key=lambda match: " ".join(
            f"{task.id}/{row.job}"
            for row, task in zip(match, tasks, strict=True)
            if row is not None
        ),
        empty="No row met the condition." if query.where else "No job of these tasks is done yet.",
    )


def _notes(found: Comparison, labels: Sequence[str], tasks: Sequence[Task]) -> Iterator[str]:
    yield human.listed(
        [f"{label} is {clean(task.name)}" for label, task in zip(labels, tasks, strict=True)]
    )
    for place, label in enumerate(labels):
        if alone := found.alone(place):
            yield f"{human.count(alone, 'config has', 'configs have')} a result in {label} alone"
    if found.changed:
        configs = human.count(found.changed, "config has", "configs have")
        yield f"{configs} the same path in these tasks, but other values"
    if found.goal:
        which = "highest" if found.goal.highest else "lowest"
        for place, label in enumerate(labels[1:], 1):
            better, of = found.better(place)
            if of:
                yield (
                    f"{label} is better than {labels[0]} in {better:,} of {human.count(of, 'config')} "
                    f"({which} {found.goal.column.name})"
                )
