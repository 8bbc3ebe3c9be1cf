"""The connection of a local command, and the user on whose behalf it works."""

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
    """Open an autocommit connection for the block.

    Raises:
        DatabaseUnavailable: it cannot be reached, or the connection was lost.
        SchemaMismatch: its schema does not match this program.
    """
    from orchestra.store.driver.database import probe
    from orchestra.wiring.database import open_database

    conn = open_database(ctx.settings, need_schema=need_schema, say=ctx.out.note)
    try:
        yield conn
    except OrchestraError:
        raise
    except Exception:
        # An answer that came twice can cause any error; then `probe` raises the right one.
        probe(conn)
        raise
    finally:
        conn.close()


def caller(ctx: Context, conn: psycopg.Connection) -> Caller:
    """Return the current user with their rights; the user is created if necessary."""
    from orchestra.wiring.identity import current_caller

    return current_caller(conn, ctx.settings, ctx.out.note)
