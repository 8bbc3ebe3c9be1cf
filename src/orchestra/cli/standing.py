"""What commands that go on for long ask through: they outlive the absence of the database, and say that they wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from orchestra.domain.errors import DatabaseUnavailable

if TYPE_CHECKING:
    import psycopg

    from orchestra.cli.context import Context

T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two tries to connect."""


class Standing:
    """Carries out work that only reads, again over a new connection where one was lost."""

    def __init__(self, ctx: Context, conn: psycopg.Connection) -> None:
        self._ctx = ctx
        self._conn: psycopg.Connection | None = conn
        self._answered = self._away = False

    def __call__(self, work: Callable[[psycopg.Connection], T], /) -> T:
        """Give what the work gives, however long that takes.

        Raises:
            DatabaseUnavailable: the very first time; who begins wants to know.
        """
        while True:
            try:
                answer = work(self._connection())
            except DatabaseUnavailable as error:
                if not self._answered:
                    raise
                self._wait(error)
            else:
                self._note_presence()
                return answer

    def close(self) -> None:
        if self._conn:
            self._conn.close()

    def _connection(self) -> psycopg.Connection:
        from orchestra import wiring

        if self._conn is None or self._conn.closed:
            self._conn = None
            self._conn = wiring.reconnect(self._ctx.settings, name="maestro")
        return self._conn

    def _wait(self, error: DatabaseUnavailable) -> None:
        if not self._away:
            self._ctx.out.note(f"{error} Waiting for it.")
        self._away = True
        time.sleep(PAUSE)

    def _note_presence(self) -> None:
        if self._away:
            self._ctx.out.note("The database is back.")
        self._answered, self._away = True, False


@contextmanager
def standing(ctx: Context) -> Iterator[Standing]:
    """Give such a connection for the length of the block.

    Raises:
        DatabaseUnavailable, SchemaMismatch: there is none to begin with.
    """
    with ctx.database() as conn:
        found = Standing(ctx, conn)
        try:
            yield found
        finally:
            found.close()
