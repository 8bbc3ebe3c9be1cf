"""A database put back to what it was at an earlier moment, under everybody's feet, as a restore does it."""

from __future__ import annotations

import psycopg
from psycopg import sql

_TABLES = """
select c.relname from pg_class c
where c.relnamespace = 'orchestra'::regnamespace and c.relkind = 'r' and c.relname <> 'schema_migration'
"""


def take(conn: psycopg.Connection) -> None:
    """Keep what the database holds, in a schema beside it."""
    conn.execute("drop schema if exists backup cascade; create schema backup")
    for table in _tables(conn):
        conn.execute(
            sql.SQL("create table backup.{0} as table orchestra.{0}").format(sql.Identifier(table))
        )


def put_back(conn: psycopg.Connection) -> None:
    """Let the database hold what was kept."""
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
