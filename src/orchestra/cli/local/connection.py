"""The connection that a local command works over, and on whose behalf it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.domain.errors import OrchestraError

if TYPE_CHECKING:
    import psycopg

    from orchestra.cli.context import Context
    from orchestra.domain.caller import Caller


@contextmanager
def database(ctx: Context, *, need_schema: bool = True) -> Iterator[psycopg.Connection]:
    """Give an autocommit connection for the length of the block.

    Raises:
        DatabaseUnavailable: it cannot be reached, or went away meanwhile.
        SchemaMismatch: its schema and this program do not fit.
    """
    from orchestra.store.driver.database import probe
    from orchestra.wiring.database import open_database

    conn = open_database(ctx.settings, need_schema=need_schema, say=ctx.out.note)
    try:
        yield conn
    except OrchestraError:
        raise
    except Exception:
        # Perhaps it follows from an answer that came twice: then it is not we who are wrong.
        probe(conn)
        raise
    finally:
        conn.close()


def caller(ctx: Context, conn: psycopg.Connection) -> Caller:
    """Give the current user, made on first need, with the rights that they have."""
    from orchestra.wiring.identity import current_caller

    return current_caller(conn, ctx.settings, ctx.out.note)
