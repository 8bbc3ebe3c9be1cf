"""`maestro task results`: metrics of the jobs beside the values of their configs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.result_reading import direction_argument, read, stated_goal
from orchestra.cli.result_tables import asked_form, print_sheet, shown, write_sheet
from orchestra.cli.task_select import one_task
from orchestra.domain import human, result_groups, result_query, result_text, results, where
from orchestra.domain.errors import BadInput
from orchestra.domain.goals import DIRECTIONS, direction
from orchestra.domain.result_query import ResultQuery
from orchestra.domain.result_text import cell
from orchestra.domain.results import Column, Table
from orchestra.domain.task_text import commit_in_words

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.goals import StatedGoal
    from orchestra.domain.models.results import Sources
    from orchestra.domain.models.tasks import Task

_CONSTANTS = 6


def results_arguments(parser: Parser) -> None:
    """Add the arguments of `task results`."""
    one_task(parser, "number or name of the task; several are compared")
    parser.takes_dash = frozenset({"--sort"})
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        help="show only rows for which this holds: 'lr < 0.1 and width == 64'",
    )
    parser.add_argument(
        "--group-by",
        metavar="A,B",
        help="show a row for each group of jobs with equal values, with the mean, the standard deviation and the best",
    )
    parser.add_argument(
        "--live",
        action="store_true",
        help="include running jobs, with what they have written into their metrics file so far",
    )
    parser.add_argument(
        "--sort", metavar="COLUMN", help="sort by this column; -COLUMN for the highest first"
    )
    parser.add_argument("--desc", action="store_true", help="with --sort, the highest first")
    parser.add_argument(
        "--best", type=whole, metavar="N", help="show only the N best rows, or groups"
    )
    direction_argument(parser)
    parser.add_argument(
        "--columns",
        metavar="A,B",
        help="show only these columns, in this order; with --group-by, only these metrics",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to this file; its suffix selects the format"
    )


def show_results(ctx: Context) -> None:
    """Show the results of a task, or of several side by side, or write them to a file."""
    form = asked_form(ctx, "results")
    query = _query(ctx)
    words = [*ctx.args.words, *ctx.args.ids, *ctx.args.names]
    if len(words) > 1:
        from orchestra.cli import task_compare

        if ctx.args.live:
            raise BadInput("--live takes one task.")
        task_compare.compare(ctx, form, query, words)
        return
    sources, read_table = read(ctx, live=ctx.args.live)
    table = result_query.matching(read_table, query)
    show = _show_groups if query.group_by else _show_rows
    show(ctx, form, sources.task, table, query)
    if 0 < len(table.rows) < len(read_table.rows):
        all_rows = human.count(len(read_table.rows), "row")
        ctx.out.note(f"{len(table.rows):,} of {all_rows} met the condition")
    _note_missing(ctx, sources, read_table)
    _note_origin(ctx, sources.task)


def _query(ctx: Context) -> ResultQuery:
    """Return what was asked for.

    Raises:
        BadInput: an option is wrong, or two contradict each other.
    """
    args = ctx.args
    if args.desc and not args.sort:
        raise BadInput("--desc needs --sort.")
    if args.desc and args.direction == "min":
        raise BadInput("--desc and --direction min contradict each other.")
    if args.direction and not (args.sort or args.best or args.group_by):
        raise BadInput("--direction needs --best, --sort or --group-by.")
    if args.best is not None and args.best < 1:
        raise BadInput("--best needs a whole number of at least 1.")
    return ResultQuery(
        where=None if args.where is None else where.parse(args.where),
        group_by=_names("--group-by", args.group_by) or (),
        sort=args.sort,
        best=args.best,
        highest=True if args.desc else DIRECTIONS.get(args.direction),
        columns=_names("--columns", args.columns),
    )


def _names(option: str, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise BadInput(f'{option} "{text}" names no column.', hint=f"{option} lr,width")
    return names


def _show_rows(ctx: Context, form: str, task: Task, table: Table, query: ResultQuery) -> None:
    stated = stated_goal(task)
    chosen, by = result_query.rows(table, query, stated)
    if not write_sheet(ctx, form, chosen.sheet):
        columns = list(chosen.columns) if query.columns else result_text.varying(table, chosen)
        print_sheet(
            ctx,
            chosen.sheet,
            [shown(column.on_sheet, chosen.rows, task.id) for column in columns],
            keep={"JOB", results.STATE.name, results.NOTE.name, *([by.name] if by else [])},
            key=lambda row: f"{task.id}/{row.job}",
            empty=_empty(task, query, live=ctx.args.live),
        )
        if ctx.out.for_people and not query.columns and len(table.rows) > 1:
            _note_constants(ctx, table)
    _note_order(ctx, by, stated)


def _show_groups(ctx: Context, form: str, task: Task, table: Table, query: ResultQuery) -> None:
    groups, sheet = result_query.groups(table, query, stated_goal(task))
    if write_sheet(ctx, form, sheet):
        return
    keys = sheet.columns[: len(groups.by)]
    print_sheet(
        ctx,
        sheet,
        [shown(column, sheet.rows, task.id) for column in result_groups.telling(groups, sheet)],
        keep={column.name for column in keys},
        key=lambda group: ",".join(cell(column.of(group)) for column in keys),
        empty=_empty(task, query, live=ctx.args.live),
    )
    if ctx.out.for_people and sheet.rows:
        for note in result_text.about_groups(groups):
            ctx.out.note(note)


def _empty(task: Task, query: ResultQuery, *, live: bool) -> str:
    if query.where:
        return "No row met the condition."
    if live:
        return f"No job of task {task.id} ({task.name}) is done or running."
    return f"No job of task {task.id} ({task.name}) is done yet, so there are no results."


def _note_constants(ctx: Context, table: Table) -> None:
    if constants := result_text.constants(table):
        ctx.out.note(f"The same in all rows: {human.listed(constants, most=_CONSTANTS)}")


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
    running = len(sources.running or ())
    done = len(table.rows) - running
    if done < task.active_jobs:
        more = f", {running:,} more {'is' if running == 1 else 'are'} running" if running else ""
        ctx.out.note(f"{done:,} of {human.count(task.active_jobs, 'job')} have results{more}")


def _note_origin(ctx: Context, task: Task) -> None:
    if ctx.out.for_people and task.origin and task.origin.commit:
        of = f" of {task.origin.script}" if task.origin.script else ""
        ctx.out.note(f"Commit{of}: {commit_in_words(task.origin)}")
