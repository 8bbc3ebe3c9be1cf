"""Results as people read them: which columns tell something, and what the others would have said. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestra.domain import flat_values, human, results
from orchestra.domain.result_groups import Groups
from orchestra.domain.results import Column, ColumnSource, Table

_OF_USERS = (ColumnSource.CONFIG, ColumnSource.BOTH, ColumnSource.METRICS)
_NAMED = 6


def cell(value: Any) -> str:
    """Format a value for a table."""
    if isinstance(value, float):
        return f"{value:.6g}"
    return human.one_line(flat_values.as_text(value), 24 if isinstance(value, list) else 60)


def varying(table: Table, chosen: Table) -> list[Column]:
    """Return the columns to show: without values that are the same in all rows, run data and an empty note."""
    columns = [c for c in table.from_sources(*_OF_USERS) if results.varies(table, c)]
    named = [] if table.from_sources(ColumnSource.CONFIG, ColumnSource.BOTH) else [results.CONFIG]
    revised = [column for column in table.columns if column == results.REVISION]
    live = [column for column in results.LIVE if column in table.columns]
    last = [results.NOTE] if any(row.note for row in chosen.rows) else []
    return [results.JOB, *live, *named, *columns, *revised, *last]


def constants(table: Table) -> list[str]:
    """Return the names and values of the columns that are the same in all rows: `epochs 20`."""
    return [
        f"{column.name} {cell(next(v for v in map(column.of, table.rows) if v is not None))}"
        for column in table.from_sources(*_OF_USERS)
        if not results.varies(table, column)
        and any(column.of(row) is not None for row in table.rows)
    ]


def about_groups(groups: Groups) -> Iterator[str]:
    """Say what the columns of groups mean, and what they leave out."""
    if groups.goal:
        which = "highest" if groups.goal.highest else "lowest"
        yield f"best: the {which} {groups.goal.column.name} of a group; std: sample standard deviation (n - 1)"
    elif groups.metrics:
        yield "std: sample standard deviation (n - 1)"
    if groups.left_out:
        names = human.listed([column.name for column in groups.left_out], most=_NAMED)
        yield f"No mean, because these are not numbers: {names}"
