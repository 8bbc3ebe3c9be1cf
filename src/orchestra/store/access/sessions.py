"""Sessions of browsers, and codes of one-time links. Every function runs inside its caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.credentials import WebSession
from orchestra.store.access.tokens import identity_of
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("access/sessions")


def add_code(
    conn: psycopg.Connection,
    hash_: bytes,
    person: int,
    *,
    admin: bool,
    unix: UnixAccount | None,
    token: int | None,
    seconds: float,
) -> datetime:
    """Store a code that works once, for so many seconds; return when it ends."""
    params = {**_rights(hash_, person, admin, unix, token), "seconds": seconds}
    ends: datetime = fetch(conn, SQL.add_code, params)[0]["expires_at"]
    return ends


def take_code(conn: psycopg.Connection, hash_: bytes) -> dict[str, Any] | None:
    """Delete a code and return what it gives: arguments of `insert`, None if it does not work."""
    rows = fetch(conn, SQL.take_code, {"hash": hash_})
    if not rows or not rows[0]["works"]:
        return None
    row = rows[0]
    unix = UnixAccount(row["account"], row["host"]) if row["account"] else None
    return {
        "person": row["person_id"],
        "admin": row["admin"],
        "unix": unix,
        "token": row["token_id"],
    }


def insert(
    conn: psycopg.Connection,
    hash_: bytes,
    person: int,
    *,
    admin: bool,
    unix: UnixAccount | None,
    token: int | None,
    idle: float,
    longest: float,
) -> WebSession:
    """Begin a session, which ends after `idle` seconds without a request, and after `longest` seconds in any case."""
    params = {**_rights(hash_, person, admin, unix, token), "idle": idle, "longest": longest}
    begun = by_id(conn, fetch(conn, SQL.insert, params)[0]["id"])
    assert begun is not None  # in this transaction
    return begun


def _rights(
    hash_: bytes, person: int, admin: bool, unix: UnixAccount | None, token: int | None
) -> dict[str, Any]:
    return {
        "hash": hash_,
        "person": person,
        "admin": admin,
        "account": unix.name if unix else None,
        "host": unix.host if unix else None,
        "token": token,
    }


def by_id(conn: psycopg.Connection, number: int) -> WebSession | None:
    """Return the session with that id, None if there is none."""
    rows = fetch(conn, f"{SQL.select_sessions}\n{SQL.with_id}", {"id": number})
    return WebSession(**rows[0]) if rows else None


def of_user(conn: psycopg.Connection, person: int) -> list[WebSession]:
    """Return a user's sessions that have not ended."""
    rows = fetch(conn, f"{SQL.select_sessions}\n{SQL.of_user}", {"person": person})
    return [WebSession(**row) for row in rows]


def identify(conn: psycopg.Connection, hash_: bytes) -> tuple[Identity, bool] | None:
    """Return who a session belongs to, and whether its use must be noted; None if it has ended or never was."""
    rows = fetch(conn, SQL.identify, {"hash": hash_})
    return (identity_of(rows[0], Via.SESSION), rows[0]["unnoted"]) if rows else None


def note_use(conn: psycopg.Connection, hash_: bytes, idle: float) -> None:
    """Note that a session is in use, unless another request does it."""
    conn.execute(SQL.note_use, {"hash": hash_, "idle": idle})


def end(conn: psycopg.Connection, number: int) -> None:
    """End a session."""
    conn.execute(SQL.end, {"id": number})


def end_by_hash(conn: psycopg.Connection, hash_: bytes) -> None:
    """End the session with that cookie."""
    conn.execute(SQL.end_by_hash, {"hash": hash_})
