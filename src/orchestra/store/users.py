"""People in the database. Every function runs inside its caller's transaction."""

from __future__ import annotations

import psycopg

from orchestra.domain.models.users import User
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("users")


def by_name(conn: psycopg.Connection, name: str) -> User | None:
    """Give the person of that name."""
    rows = fetch(conn, SQL.select_people + "\n" + SQL.named, {"name": name})
    return User(**rows[0]) if rows else None


def by_id(conn: psycopg.Connection, number: int) -> User | None:
    """Give the person of that number."""
    rows = fetch(conn, SQL.select_people + "\n" + SQL.with_id, {"id": number})
    return User(**rows[0]) if rows else None


def change(
    conn: psycopg.Connection, person: int, email: str | None, mail: bool | None, admin: bool | None
) -> User:
    """Change an address, whether mail is wanted, and whether somebody is an admin; None leaves it."""
    params = {"person": person, "email": email, "mail": mail, "admin": admin}
    return User(**fetch(conn, SQL.set, params)[0])


def everybody(conn: psycopg.Connection) -> list[User]:
    """Give all people by name."""
    return [User(**row) for row in fetch(conn, SQL.select_people + "\n" + SQL.in_order)]


def lock_admins(conn: psycopg.Connection) -> None:
    """Let nobody else make, change or delete people before the transaction ends."""
    conn.execute(SQL.lock_admins)


def insert(conn: psycopg.Connection, name: str, email: str) -> User | None:
    """Make a person; None where the name is taken."""
    rows = fetch(conn, SQL.insert, {"name": name, "email": email})
    return User(**rows[0]) if rows else None


def lock(conn: psycopg.Connection, name: str) -> bool:
    """Lock a person against what would come to be theirs meanwhile; False where there is nobody of that name."""
    return bool(fetch(conn, SQL.lock, {"name": name}))


def possessions(conn: psycopg.Connection, person: int) -> tuple[int, int]:
    """Give how many tasks and data sets somebody has."""
    row = fetch(conn, SQL.possessions, {"person": person})[0]
    return row["tasks"], row["datasets"]


def delete(conn: psycopg.Connection, person: int) -> None:
    """Delete a person and what is left of deleted data sets.

    Raises:
        psycopg.errors.ForeignKeyViolation: a task still needs one of those data sets.
    """
    for statement in (SQL.drop_manifests, SQL.drop_datasets, SQL.delete):
        conn.execute(statement, {"person": person})
