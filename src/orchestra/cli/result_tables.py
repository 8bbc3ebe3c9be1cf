"""Printing results: what a terminal has room for, and what was left out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from orchestra.cli.registry import RESULT_FORMS
from orchestra.cli.table import Column as Shown
from orchestra.cli.table import Fit, width_of
from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.plain_json import finite
from orchestra.domain.result_text import cell

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.domain.sheets import Sheet, SheetColumn

R = TypeVar("R")

_ROWS_ON_TERMINAL = 50


def asked_form(ctx: Context, name: str) -> str:
    """Return the format that was asked for, or that the suffix of the file selects; `name` is an example's.

    Raises:
        BadInput: the suffix is none of a format.
    """
    form, out = str(ctx.args.output), ctx.args.out
    if out is None or form != "table":
        return form
    suffix = out.suffix.lower().removeprefix(".")
    if suffix not in RESULT_FORMS[1:]:
        raise BadInput(
            f'--out "{out}" does not end with a known suffix.',
            hint=f"For example {name}.csv; or use -o csv, json or parquet.",
        )
    return str(suffix)


def print_sheet(
    ctx: Context,
    sheet: Sheet[R],
    columns: Sequence[Shown[R]],
    *,
    keep: Collection[str],
    key: Callable[[R], object],
    empty: str,
) -> None:
    """Print a table of results. On a terminal, rows and columns that do not fit are left out, and a note says so.

    Args:
        columns: what a table for people shows; other forms have all columns of `sheet`.
        keep: the titles of columns that are not left out.
    """
    rows, dropped, table = sheet.rows, 0, ctx.out.for_people
    if table and sys.stdout.isatty():
        rows = rows[:_ROWS_ON_TERMINAL]
        columns, dropped = _fitting(columns, rows, keep, shutil.get_terminal_size().columns)
    ctx.out.items(
        rows,
        columns,
        record=lambda row: {column.name: finite(column.of(row)) for column in sheet.columns},
        key=key,
        empty=empty,
    )
    if table and len(rows) < len(sheet.rows):
        more = human.count(len(sheet.rows) - len(rows), "more row")
        ctx.out.note(f"{more}: --best N shows the best, -o csv writes all.")
    if dropped:
        ctx.out.note(
            f"{human.count(dropped, 'column does', 'columns do')} not fit: --columns A,B selects some, "
            "-o csv has all."
        )


def write_sheet(ctx: Context, form: str, sheet: Sheet[Any]) -> bool:
    """Write a table to the file or in the format that was asked for; return whether it was not to be printed."""
    from orchestra.cli import result_files

    out = ctx.args.out
    if out is None and form not in ("csv", "parquet"):
        return False
    result_files.write(sheet, form, out)
    if out:
        ctx.out.note(f"{human.count(len(sheet.rows), 'row')} written to {out}")
    return True


def shown(column: SheetColumn[R], rows: Sequence[R], task: int) -> Shown[R]:
    """Return a column as a table for people shows it: numbers on the right, jobs by their address."""
    if column.is_job:
        return _addresses(column, task)
    if (words := column.words) is not None:
        return Shown(column.name, lambda row: _worded(words, column.of(row)))
    right = all(isinstance(column.of(row), int | float | None) for row in rows)
    return Shown(column.name, lambda row: cell(column.of(row)), right=right)


def _worded(words: Callable[[Any], str], value: Any) -> str:
    return "" if value is None else words(value)


def _addresses(column: SheetColumn[R], task: int) -> Shown[R]:
    def text(row: R) -> str:
        job = column.of(row)
        return "" if job is None else f"{task}/{job}"

    title = "JOB" if column.name == "job" else column.name
    return Shown(title, text, fit=Fit.WHOLE)


def _fitting(
    columns: Sequence[Shown[R]], rows: Sequence[R], keep: Collection[str], width: int
) -> tuple[list[Shown[R]], int]:
    """Leave out columns from the end until a line fits."""
    widths = [
        max(4, width_of(column.title), *(width_of(str(column.value(row))) + 2 for row in rows))
        for column in columns
    ]
    kept = list(range(len(columns)))
    while sum(widths[place] + 2 for place in kept) > width + 2:
        spare = [place for place in kept if columns[place].title not in keep]
        if not spare:
            break
        kept.remove(spare[-1])
    return [columns[place] for place in kept], len(columns) - len(kept)
