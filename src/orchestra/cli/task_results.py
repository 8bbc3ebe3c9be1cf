"""`maestro task results`: metrics of the jobs beside the values of their configs."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.cli.argument_types import whole
from orchestra.cli.output import finite
from orchestra.cli.table import Column as Shown
from orchestra.cli.table import Fit
from orchestra.cli.task import RESULT_FORMS
from orchestra.cli.task_select import one_task, the_task
from orchestra.domain import flat_values, human, result_ranking, results
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import DIRECTIONS, direction, parse_goal
from orchestra.domain.results import Column, ColumnSource, Row, Table
from orchestra.domain.task_text import commit_in_words

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.goals import StatedGoal
    from orchestra.domain.models.results import Sources
    from orchestra.domain.models.tasks import Task

_ROWS_ON_TERMINAL = 50
_CONSTANTS = 6


def results_arguments(parser: Parser) -> None:
    """Add the arguments of `task results`."""
    one_task(parser)
    parser.takes_dash = frozenset({"--sort"})
    parser.add_argument(
        "--sort", metavar="COLUMN", help="sort by this column; -COLUMN for the highest first"
    )
    parser.add_argument("--desc", action="store_true", help="with --sort, the highest first")
    parser.add_argument("--best", type=whole, metavar="N", help="show only the N best rows")
    direction_argument(parser)
    parser.add_argument("--columns", metavar="A,B", help="show only these columns, in this order")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to this file; its suffix selects the format"
    )


def show_results(ctx: Context) -> None:
    """Show the results of a task, or write them to a file."""
    from orchestra.cli import result_files

    form = _form(ctx)
    _check(ctx)
    sources, table = read(ctx)
    chosen, by = result_ranking.arranged(
        table,
        sort=ctx.args.sort,
        limit=ctx.args.best,
        stated=stated_goal(sources.task),
        highest=_highest(ctx),
    )
    if ctx.args.columns:
        chosen = results.with_columns(chosen, _names(ctx.args.columns))
    if ctx.args.out or form in ("csv", "parquet"):
        result_files.write(chosen, form, ctx.args.out)
        if ctx.args.out:
            ctx.out.note(f"{human.count(len(chosen.rows), 'row')} written to {ctx.args.out}")
    else:
        _print(ctx, sources.task, table, chosen, by)
    _note_order(ctx, by, stated_goal(sources.task))
    _note_missing(ctx, sources, table)
    _note_origin(ctx, sources.task)


def direction_argument(parser: Parser) -> None:
    """Add the option that says which values are best."""
    parser.add_argument(
        "--direction",
        choices=tuple(DIRECTIONS),
        help="whether the lowest or the highest value is best, whatever the goal or the metric's name says",
    )


def stated_goal(task: Task) -> StatedGoal | None:
    """Return the goal that was given when the task was created."""
    return parse_goal(task.goal) if task.goal else None


def _highest(ctx: Context) -> bool | None:
    return True if ctx.args.desc else DIRECTIONS.get(ctx.args.direction)


def read(ctx: Context) -> tuple[Sources, Table]:
    """Read the results of the task that was named, with a progress line."""
    from orchestra.files.results import read as read_files
    from orchestra.interface.results import FindResults

    with ctx.interface() as ask:
        sources = ask(FindResults(the_task(ctx)))
    with ctx.out.progress("reading results", None, "jobs") as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.set(done)

        return sources, read_files(sources, progress=show)


def _form(ctx: Context) -> str:
    """Return the format that was asked for, or that the suffix of the file selects."""
    form, out = str(ctx.args.output), ctx.args.out
    if out is None or form != "table":
        return form
    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in RESULT_FORMS[1:]:
        raise BadInput(
            f'--out "{out}" does not end with a known suffix.',
            hint="For example results.csv; or use -o csv, json or parquet.",
        )
    return str(suffix)


def _check(ctx: Context) -> None:
    args = ctx.args
    if args.desc and not args.sort:
        raise BadInput("--desc needs --sort.")
    if args.desc and args.direction == "min":
        raise BadInput("--desc and --direction min contradict each other.")
    if args.direction and not (args.sort or args.best):
        raise BadInput("--direction needs --best or --sort.")
    if args.best is not None and args.best < 1:
        raise BadInput("--best needs a whole number of at least 1.")
    if args.columns and not _names(args.columns):
        raise BadInput(f'--columns "{args.columns}" names no column.', hint="--columns job,loss")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _print(ctx: Context, task: Task, table: Table, chosen: Table, by: Column | None) -> None:
    columns = list(chosen.columns) if ctx.args.columns else _varying(table, chosen)
    rows: Sequence[Row] = chosen.rows
    if ctx.out.form == "table" and not ctx.out.quiet and sys.stdout.isatty():
        rows = rows[:_ROWS_ON_TERMINAL]
        columns, dropped = _fitting(columns, rows, by, shutil.get_terminal_size().columns)
    else:
        dropped = 0
    ctx.out.items(
        chosen.rows if ctx.out.form == "json" or ctx.out.quiet else rows,
        [_shown(column, task, rows) for column in columns],
        record=lambda row: {c.name: finite(c.of(row)) for c in chosen.columns},
        key=lambda row: f"{task.id}/{row.job}",
        empty=f"No job of task {task.id} ({task.name}) is done yet, so there are no results.",
    )
    if ctx.out.form == "table" and not ctx.out.quiet:
        _note_left_out(ctx, table, chosen, len(rows), dropped)


def _varying(table: Table, chosen: Table) -> list[Column]:
    """Return the columns to show: without values that are the same in all rows, run data and an empty note."""
    columns = [
        column
        for column in table.from_sources(
            ColumnSource.CONFIG, ColumnSource.BOTH, ColumnSource.METRICS
        )
        if results.varies(table, column)
    ]
    noted = any(row.note for row in chosen.rows)
    named = [] if table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH) else [results.CONFIG]
    return [results.JOB, *named, *columns, *([results.NOTE] if noted else [])]


def _shown(column: Column, task: Task, rows: Sequence[Row]) -> Shown[Row]:
    if column == results.JOB:
        return Shown("JOB", lambda row: f"{task.id}/{row.job}", fit=Fit.WHOLE)
    right = all(isinstance(column.of(row), int | float | None) for row in rows)
    return Shown(column.name, lambda row: _cell(column.of(row)), right=right)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return human.one_line(flat_values.as_text(value), 24 if isinstance(value, list) else 60)


def _fitting(
    columns: list[Column], rows: Sequence[Row], by: Column | None, width: int
) -> tuple[list[Column], int]:
    """Leave out columns from the end, except the one that the rows are sorted by, until a line fits."""
    widths = {
        column: max(len(column.name), *(len(_cell(column.of(row))) + 2 for row in rows), 4)
        for column in columns
    }
    kept = list(columns)
    while sum(widths[c] + 2 for c in kept) > width + 2:
        spare = [c for c in kept if c not in (results.JOB, results.NOTE, by)]
        if not spare:
            break
        kept.remove(spare[-1])
    return kept, len(columns) - len(kept)


def _note_left_out(ctx: Context, table: Table, chosen: Table, shown: int, dropped: int) -> None:
    if shown < len(chosen.rows):
        more = human.count(len(chosen.rows) - shown, "more row")
        ctx.out.note(f"{more}: --best N shows the best, -o csv writes all.")
    if dropped:
        ctx.out.note(
            f"{human.count(dropped, 'column does', 'columns do')} not fit: --columns A,B selects some, "
            "-o csv has all."
        )
    constants = [] if ctx.args.columns or len(table.rows) < 2 else _constants(table)
    if constants:
        ctx.out.note(f"The same in all rows: {human.listed(constants, most=_CONSTANTS)}")


def _constants(table: Table) -> list[str]:
    return [
        f"{column.name} {_cell(next(v for v in map(column.of, table.rows) if v is not None))}"
        for column in table.from_sources(
            ColumnSource.CONFIG, ColumnSource.BOTH, ColumnSource.METRICS
        )
        if not results.varies(table, column)
        and any(column.of(row) is not None for row in table.rows)
    ]


def _note_order(ctx: Context, by: Column | None, stated: StatedGoal | None) -> None:
    """Note that --sort puts the lowest first, if the name of the column says that the highest is best."""
    sort, args = ctx.args.sort, ctx.args
    if not (by and sort and args.best) or sort.startswith("-") or args.desc or args.direction:
        return
    if not (stated and by.key in stated.keys) and direction(by.key):
        ctx.out.note(f"These have the lowest {by.name}; --sort -{sort} shows the highest.")


def _note_missing(ctx: Context, sources: Sources, table: Table) -> None:
    task = sources.task
    if not table.rows:
        return
    if not any(row.metrics for row in table.rows):
        ctx.out.note(
            f"No job wrote values into {task.metrics_file}; `task create --metrics NAME` sets another file."
        )
    elif noted := sum(row.note is not None for row in table.rows):
        ctx.out.note(
            f"{human.count(noted, 'row has', 'rows have')} a note: inputs changed, or a file could not be read."
        )
    if len(table.rows) < task.jobs:
        ctx.out.note(f"{len(table.rows):,} of {human.count(task.jobs, 'job')} have results")


def _note_origin(ctx: Context, task: Task) -> None:
    if ctx.out.for_people and task.origin and task.origin.commit:
        of = f" of {task.origin.script}" if task.origin.script else ""
        ctx.out.note(f"Commit{of}: {commit_in_words(task.origin)}")
