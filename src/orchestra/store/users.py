"""Users. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from orchestra.domain.models.users import NewLimits, User, UserLimits
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("users")


def from_row(row: Mapping[str, Any]) -> User:
    """Build a User from the columns of a person in a row."""
    return User(
        id=row["id"],
        name=row["name"],
        email=row["email"],
        is_admin=row["is_admin"],
        created_at=row["created_at"],
        mail=row["mail"],
        shares=row["shares"],
        limits=UserLimits(row["limit_cpus"], row["limit_gpu_milli"], row["limit_running"]),
    )


def by_name(conn: psycopg.Connection, name: str) -> User | None:
    """The user of that name, or None."""
    rows = fetch(conn, SQL.select_people + "\n" + SQL.named, {"name": name})
    return from_row(rows[0]) if rows else None


def by_id(conn: psycopg.Connection, number: int) -> User | None:
    """The user with that id, or None."""
    rows = fetch(conn, SQL.select_people + "\n" + SQL.with_id, {"id": number})
    return from_row(rows[0]) if rows else None


def change(
    conn: psycopg.Connection, person: int, email: str | None, mail: bool | None, admin: bool | None
) -> User:
    """Change a user's address, whether they get mail, and whether they are an admin; None leaves a value unchanged."""
    params = {"person": person, "email": email, "mail": mail, "admin": admin}
    return from_row(fetch(conn, SQL.set, params)[0])


def set_limits(conn: psycopg.Connection, person: int, new: NewLimits) -> User:
    """Change a user's limits and shares; None leaves a value unchanged."""
    params = {
        "person": person,
        "cpus": new.cpus,
        "gpu_milli": new.gpu_milli,
        "running": new.running,
        "shares": new.shares,
        "removed": list(new.removed),
    }
    return from_row(fetch(conn, SQL.set_limits, params)[0])


def everybody(conn: psycopg.Connection) -> list[User]:
    """Return all users by name."""
    return [from_row(row) for row in fetch(conn, SQL.select_people + "\n" + SQL.in_order)]


def lock_admins(conn: psycopg.Connection) -> None:
    """Block other transactions that create, change or delete users, until this one ends."""
    conn.execute(SQL.lock_admins)


def insert(conn: psycopg.Connection, name: str, email: str) -> User | None:
    """Create a user; None if the name is taken."""
    rows = fetch(conn, SQL.insert, {"name": name, "email": email})
    return from_row(rows[0]) if rows else None


def lock(conn: psycopg.Connection, name: str) -> bool:
    """Lock a user, so that no new task or data set can become theirs; False if there is no user of that name."""
    return bool(fetch(conn, SQL.lock, {"name": name}))


def possessions(conn: psycopg.Connection, person: int) -> tuple[int, int]:
    """Return how many tasks and data sets a user has."""
    row = fetch(conn, SQL.possessions, {"person": person})[0]
    return row["tasks"], row["datasets"]


def delete(conn: psycopg.Connection, person: int) -> None:
    """Delete a user and what is left of their deleted data sets.

    Raises:
        psycopg.errors.ForeignKeyViolation: a task still needs one of those data sets.
    """
    for statement in (SQL.drop_manifests, SQL.drop_datasets, SQL.delete):
        conn.execute(statement, {"person": person})
