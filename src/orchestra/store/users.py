"""People in the database. Every function runs inside its caller's transaction."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from orchestra.domain.models import User
from orchestra.store.sql import load

SQL = load("users")


def _rows(
    conn: psycopg.Connection, statement: Any, params: dict[str, Any] | None = None
) -> list[dict[str, Any]]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(statement, params).fetchall()


def by_name(conn: psycopg.Connection, name: str) -> User | None:
    """Give the person of that name."""
    rows = _rows(conn, SQL.select_people + "\n" + SQL.named, {"name": name})
    return User(**rows[0]) if rows else None


def everybody(conn: psycopg.Connection) -> list[User]:
    """Give all people by name."""
    return [User(**row) for row in _rows(conn, SQL.select_people + "\n" + SQL.in_order)]


def insert(conn: psycopg.Connection, name: str, email: str) -> User | None:
    """Make a person; None where the name is taken."""
    rows = _rows(conn, SQL.insert, {"name": name, "email": email})
    return User(**rows[0]) if rows else None


def lock(conn: psycopg.Connection, name: str) -> int | None:
    """Lock a person against other changes and give the number, None where there is nobody of that name."""
    rows = _rows(conn, SQL.lock, {"name": name})
    return rows[0]["id"] if rows else None


def possessions(conn: psycopg.Connection, person: int) -> tuple[int, int]:
    """Give how many tasks and data sets somebody has."""
    row = _rows(conn, SQL.possessions, {"person": person})[0]
    return row["tasks"], row["datasets"]


def delete(conn: psycopg.Connection, person: int) -> None:
    """Delete a person and what is left of deleted data sets.

    Raises:
        psycopg.errors.ForeignKeyViolation: a task still needs one of those data sets.
    """
    for statement in (SQL.drop_manifests, SQL.drop_datasets, SQL.delete):
        conn.execute(statement, {"person": person})
