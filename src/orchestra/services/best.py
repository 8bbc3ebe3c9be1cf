"""The best results of a task that has ended, for its mail."""

from __future__ import annotations

from typing import Any

import psycopg

from orchestra.domain.errors import NotFound
from orchestra.domain.letters import BestResults, BestRow
from orchestra.domain.results import Column, Part, Row
from orchestra.services import results

ROWS = 3
PATIENCE = 10.0
"""Seconds that the volume gets, for each of its three answers; a mail can do without."""
_COLUMNS = 4


def best_results(conn: psycopg.Connection, task: int) -> BestResults | None:
    """Give up to three of a task's best jobs, or None where nothing says which are best.

    Called when the mail is sent, outside of any transaction, on a connection and in a thread of its own. Comes back
    within half a minute, also when the volume hangs.
    """
    try:
        sources = results.look_up(conn, str(task))
    except NotFound:  # deleted in the meantime
        return None
    found = results.best(sources, limit=ROWS, patience=PATIENCE)
    if found is None or not found.table.rows:
        return None
    wanted = found.goal.column
    columns = (
        wanted,
        *telling(found, found.table.of_part(Part.CONFIG, Part.BOTH), wanted),
    )
    return BestResults(
        columns=tuple(column.name for column in columns),
        rows=tuple(
            BestRow(f"{task}/{row.job}", tuple(_shown(column.of(row)) for column in columns))
            for row in found.table.rows
        ),
    )


def telling(found: results.Best, columns: list[Column], wanted: Column) -> list[Column]:
    """Give the config values that tell the best rows from one another, then those that tell them from other rows."""
    best, all_ = found.table.rows, (*found.table.rows, *found.others)
    others = [column for column in columns if column.key != wanted.key]
    others.sort(key=lambda column: (_is_same(best, column), _is_same(all_, column)))
    return others[: _COLUMNS - 1]


def _is_same(rows: tuple[Row, ...], column: Column) -> bool:
    return len({_shown(column.of(row)) for row in rows}) == 1


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else str(value)
