"""Answers to changes that were made under an idempotency key."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("answers")
PAUSE = "60s"
"""How long a change may take between two statements."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """What was requested under a key, as a hash, and the answer."""

    request: bytes
    answer: bytes


def begin(conn: psycopg.Connection, person: int, key: str, request: bytes) -> bool:
    """Record a key, and return whether it is new. Waits for a transaction that has just recorded it."""
    conn.execute(SQL.allow_pauses, {"timeout": PAUSE})
    params = {"person": person, "key": key, "request": request}
    return bool(fetch(conn, SQL.begin, params))


def known(conn: psycopg.Connection, person: int, key: str) -> KnownAnswer | None:
    """Return what is recorded under a key; None if it was removed meanwhile."""
    rows = fetch(conn, SQL.known, {"person": person, "key": key})
    return KnownAnswer(rows[0]["request"], rows[0]["answer"] or b"") if rows else None


def finish(conn: psycopg.Connection, person: int, key: str, answer: bytes) -> None:
    """Record the answer."""
    conn.execute(SQL.finish, {"person": person, "key": key, "answer": answer})
