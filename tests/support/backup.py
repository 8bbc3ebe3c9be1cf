"""Saves a database and restores it to that state while programs are connected, as a restored backup would."""

from __future__ import annotations

import psycopg
from psycopg import sql

_TABLES = """
select c.relname from pg_class c
where c.relnamespace = 'orchestra'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migration'
"""


def take(conn: psycopg.Connection) -> None:
    """Save the tables of the database in another schema."""
    conn.execute("drop schema if exists backup cascade; create schema backup")
    for table in _tables(conn):
        conn.execute(
            sql.SQL("create table backup.{0} as table orchestra.{0}").format(sql.Identifier(table))
        )


def put_back(conn: psycopg.Connection) -> None:
    """Restore the saved tables."""
    names = [sql.Identifier("orchestra", table) for table in _tables(conn)]
    with conn.transaction():
        conn.execute("set local session_replication_role = replica")
        conn.execute(sql.SQL("truncate {} cascade").format(sql.SQL(", ").join(names)))
        for table in _tables(conn):
            conn.execute(
                sql.SQL(
                    "insert into orchestra.{0} overriding system value select * from backup.{0}"
                ).format(sql.Identifier(table))
            )


def _tables(conn: psycopg.Connection) -> list[str]:
    return [row[0] for row in conn.execute(_TABLES)]
