"""What was used: `usage_daily`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import date

import psycopg

from orchestra.domain.models.accounts import UsageKey, UsageRow, Used
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("usage")
_FIGURES = tuple(each.name for each in fields(Used))


def read(
    conn: psycopg.Connection,
    by: Sequence[UsageKey],
    *,
    since: date | None,
    until: date | None,
    user: str | None,
) -> list[UsageRow]:
    """Return a row for each combination that there is, from the first day to the last, in no order."""
    params = {"by": [key.value for key in by], "since": since, "until": until, "user": user}
    return [
        UsageRow(Used(*(row.pop(name) for name in _FIGURES)), **row)
        for row in fetch(conn, SQL.read, params)
    ]


def has(conn: psycopg.Connection, user: str) -> bool:
    """Whether tasks of a user, who may be deleted, have used anything."""
    (row,) = fetch(conn, SQL.has, {"user": user})
    return bool(row["exists"])
