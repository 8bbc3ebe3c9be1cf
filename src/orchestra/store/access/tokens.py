"""Tokens. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.credentials import Token
from orchestra.store import users
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("access/tokens")


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a token that was sent. `unnoted`: its use has not been noted within a minute."""

    identity: Identity
    revoked: bool
    expired: bool
    unnoted: bool


def insert(
    conn: psycopg.Connection,
    person: int,
    name: str,
    *,
    hash_: bytes,
    start: str,
    admin: bool,
    unix: UnixAccount | None,
    seconds: float | None,
    ends_at: datetime | None,
) -> Token:
    """Store a token that works for so many seconds, and at most until `ends_at`; None is without end."""
    params = {
        "person": person,
        "name": name,
        "hash": hash_,
        "start": start,
        "admin": admin,
        "account": unix.name if unix else None,
        "host": unix.host if unix else None,
        "seconds": seconds,
        "ends_at": ends_at,
    }
    made = by_id(conn, fetch(conn, SQL.insert, params)[0]["id"])
    assert made is not None  # in this transaction
    return made


def by_id(conn: psycopg.Connection, number: int) -> Token | None:
    """Return the token with that id, None if there is none."""
    rows = fetch(conn, f"{SQL.select_tokens}\n{SQL.with_id}", {"id": number})
    return Token(**rows[0]) if rows else None


def of_user(conn: psycopg.Connection, person: int) -> list[Token]:
    """Return a user's tokens in order, also those that have ended."""
    rows = fetch(conn, f"{SQL.select_tokens}\n{SQL.of_user}", {"person": person})
    return [Token(**row) for row in rows]


def all_of_them(conn: psycopg.Connection) -> list[Token]:
    """Return everybody's tokens."""
    return [Token(**row) for row in fetch(conn, f"{SQL.select_tokens}\n{SQL.in_order}")]


def known(conn: psycopg.Connection, hash_: bytes) -> Known | None:
    """Return what is known of a token, None if it is not known."""
    rows = fetch(conn, SQL.identify, {"hash": hash_})
    if not rows:
        return None
    row = rows[0]
    return Known(identity_of(row, Via.TOKEN), row["revoked"], row["expired"], row["unnoted"])


def identity_of(row: Mapping[str, Any], via: Via) -> Identity:
    """Return the identity that a row of a token or of a session proves."""
    user = users.from_row(row)
    return Identity(
        user,
        user.is_admin and row["admin"],
        via,
        account=row["account"],
        host=row["host"],
        token=row["token"],
        ends_at=row["ends_at"],
    )


def note_use(conn: psycopg.Connection, token: int) -> None:
    """Note that a token is in use, unless another request does it."""
    conn.execute(SQL.note_use, {"token": token})


def revoke(conn: psycopg.Connection, number: int) -> None:
    """Revoke a token, and end the sessions that began with it."""
    for statement in (SQL.revoke, SQL.end_sessions, SQL.drop_codes):
        conn.execute(statement, {"id": number})
