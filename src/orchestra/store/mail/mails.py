"""Mails as users see them."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.attention import LateMail
from orchestra.domain.models.mails import Mail, Summary
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("mail/outbox")


def by_id(conn: psycopg.Connection, number: int) -> Mail | None:
    rows = fetch(conn, SQL.select_mails + "\n" + SQL.with_id, {"id": number})
    return Mail(**rows[0]) if rows else None


def listed(
    conn: psycopg.Connection, *, person: int | None, state: str | None, limit: int | None
) -> list[Mail]:
    """Return mails, newest first."""
    params = {"person": person, "state": state, "limit": limit}
    return [Mail(**row) for row in fetch(conn, SQL.select_mails + "\n" + SQL.listed, params)]


def of_task(conn: psycopg.Connection, task: int, *, limit: int) -> list[Mail]:
    """Return the newest mails about a task, oldest first."""
    rows = fetch(conn, SQL.select_mails + "\n" + SQL.of_task, {"task": task, "limit": limit})
    return [Mail(**row) for row in reversed(rows)]


def summary(conn: psycopg.Connection) -> Summary:
    return Summary(**fetch(conn, SQL.summary)[0])


def late(conn: psycopg.Connection, person: int | None) -> LateMail:
    """Return how many mails of a person, or of all, could not be delivered."""
    return LateMail(**fetch(conn, SQL.late, {"person": person})[0])


def again(conn: psycopg.Connection, ids: Sequence[int] | None, person: int | None) -> list[int]:
    """Make mails due now: these, or all that were set aside; optionally only one person's. Return their ids."""
    params = {"ids": None if ids is None else list(ids), "person": person}
    return [row["id"] for row in fetch(conn, SQL.again, params)]
