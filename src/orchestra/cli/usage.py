"""`maestro usage`: what jobs have requested and used, summed by user, task, node, queue, day or month."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.registry import RESULT_FORMS, Verb
from orchestra.cli.result_tables import asked_form, write_sheet
from orchestra.cli.table import Column, Fit
from orchestra.domain import accounting
from orchestra.domain.accounting import GB_HOUR, hours, hours_of_both
from orchestra.domain.models.accounts import UsageKey, UsageRow
from orchestra.domain.plain_json import finite

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.accounts import Used
    from orchestra.interface.answers.usage import UsageReport
    from orchestra.interface.usage import ListUsage

_TOTAL = "total"


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--by",
        metavar="A,B",
        default="user,month",
        help="sum by these, in this order: user, task, node, queue, day, month (default user,month)",
    )
    parser.add_argument(
        "--since",
        metavar="DAY",
        help="the first day (2026-11-03), or month (2026-11), or 30d for the last 30 days",
    )
    parser.add_argument("--until", metavar="DAY", help="the last day, or month")
    parser.add_argument("-u", "--user", metavar="NAME", help="only what this user's tasks took")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write to this file; its suffix selects the format"
    )


def _show(ctx: Context) -> None:
    from orchestra.interface.usage import ListUsage

    args, form = ctx.args, asked_form(ctx, "usage")
    asked = ListUsage(
        accounting.parse_keys(args.by),
        accounting.first_day(args.since) if args.since else None,
        accounting.last_day(args.until) if args.until else None,
        args.user,
    )
    accounting.check_period(asked.since, asked.until)
    with ctx.interface() as ask:
        report = ask(asked)
    sheet = accounting.sheet(report.rows, report.by)
    if write_sheet(ctx, form, sheet):
        return
    rows = list(report.rows)
    if ctx.out.for_people and len(rows) > 1:
        rows.append(UsageRow(report.total))
    ctx.out.items(
        rows,
        _columns(report),
        narrow=(_columns(report, brief=True),),
        record=lambda row: {column.name: finite(column.of(row)) for column in sheet.columns},
        key=lambda row: " ".join(row.key(key) for key in report.by),
        empty="No such usage." if _is_limited(asked) else "No job has ended yet.",
    )


def _is_limited(asked: ListUsage) -> bool:
    return any((asked.since, asked.until, asked.user))


def _columns(report: UsageReport, *, brief: bool = False) -> Sequence[Column[UsageRow]]:
    """Return the columns; those of GPUs only if some were requested. `brief`: those for a narrow terminal."""
    total = report.total
    columns = [_of_key(key, first=place == 0) for place, key in enumerate(report.by)]
    columns.append(_number("JOBS", lambda used: f"{used.done:,}"))
    if not brief:
        columns.append(_number("ATTEMPTS", lambda used: f"{used.attempts:,}"))
    columns.append(_number("CPU HOURS", lambda used: hours(used.cpu_requested)))
    columns.append(_number("USED", lambda used: hours(used.cpu_used)))
    if total.gpu_requested:
        columns.append(_number("GPU HOURS", lambda used: hours(used.gpu_requested)))
        columns.append(_number("USED", lambda used: hours(used.gpu_used)))
    if not brief:
        columns.append(_number("GB HOURS", lambda used: hours(used.memory_requested, GB_HOUR)))
        columns.append(_number("USED", lambda used: hours(used.memory_used, GB_HOUR)))
    columns.append(_number("FAILED", lambda used: hours_of_both(used.failed_cpu, used.failed_gpu)))
    columns.append(_number("LOST", lambda used: hours_of_both(used.lost_cpu, used.lost_gpu)))
    return columns


def _number(title: str, of: Callable[[Used], str]) -> Column[UsageRow]:
    return Column(title, lambda row: of(row.used), right=True)


def _of_key(key: UsageKey, *, first: bool) -> Column[UsageRow]:
    def cell(row: UsageRow) -> str:
        found = row.key(key) or (_TOTAL if first else "")
        return f"{found} ({row.task_id})" if row.task and key is UsageKey.TASK else found

    fit = Fit.START if key is UsageKey.TASK else Fit.WHOLE
    return Column(key.value.upper(), cell, fit=fit)


VERBS = (
    Verb(
        "usage",
        "show what jobs requested and used, by user and month",
        _show,
        _arguments,
        example=(
            "maestro usage\n"
            "maestro usage --by task --user ana --since 2026-11\n"
            "maestro usage --by node,day --since 30d -o csv > usage.csv"
        ),
        output=True,
        forms=RESULT_FORMS,
        description=(
            "Show CPU, GPU and memory hours that jobs requested (slots, memory and GPUs, for as long as they ran) and "
            "used, and the part that was wasted in failures and in attempts that were lost with their node. Usage is "
            "kept when tasks, nodes and users are deleted, and includes the last attempt that has ended. Days are "
            "UTC's."
        ),
    ),
)
