"""Mails as people see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from orchestra.store.database import fetch
from orchestra.store.sql import load

SQL = load("outbox")


@dataclass(frozen=True, slots=True)
class Mail:
    """A row as people see it; `last_error` is why it waits or was put aside."""

    id: int
    kind: str
    person: str
    email: str
    task_id: int | None
    payload: Mapping[str, Any]
    created_at: datetime
    next_try: datetime
    tries: int
    sent_at: datetime | None
    sent_how: str | None
    refused_at: datetime | None
    last_error: str | None
    message_id: str

    @property
    def state(self) -> str:
        if self.sent_at:
            return "sent"
        return "refused" if self.refused_at else "waiting"


@dataclass(frozen=True, slots=True)
class Summary:
    """How many mails wait, and were put aside within a week; since when the oldest waits, and why if that is known."""

    waiting: int
    refused: int
    oldest: datetime | None
    error: str | None


def by_id(conn: psycopg.Connection, number: int) -> Mail | None:
    rows = fetch(conn, SQL.select_mails + "\n" + SQL.with_id, {"id": number})
    return Mail(**rows[0]) if rows else None


def listed(
    conn: psycopg.Connection, *, person: int | None, state: str | None, limit: int | None
) -> list[Mail]:
    """Give mails, the newest first."""
    params = {"person": person, "state": state, "limit": limit}
    return [Mail(**row) for row in fetch(conn, SQL.select_mails + "\n" + SQL.listed, params)]


def of_task(conn: psycopg.Connection, task: int, *, limit: int) -> list[Mail]:
    """Give the newest mails about a task, oldest first."""
    rows = fetch(conn, SQL.select_mails + "\n" + SQL.of_task, {"task": task, "limit": limit})
    return [Mail(**row) for row in reversed(rows)]


def summary(conn: psycopg.Connection) -> Summary:
    return Summary(**fetch(conn, SQL.summary)[0])


def again(conn: psycopg.Connection, ids: Sequence[int] | None, person: int | None) -> list[int]:
    """Have mails sent now: these, or all that were put aside; one person's alone where given. Gives which."""
    params = {"ids": None if ids is None else list(ids), "person": person}
    return [row["id"] for row in fetch(conn, SQL.again, params)]
