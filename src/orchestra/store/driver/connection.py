"""A connection that raises Orchestra's errors, limits the time for each answer, and detects misplaced answers.

Only documented methods of psycopg are overridden: `execute`, `copy` and the fetches of a cursor; `cursor`,
`transaction`, `notifies`, `commit` and `rollback` of a connection. All traffic passes through one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import Params, Query, QueryNoTemplate
from psycopg.copy import Writer
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from orchestra.store.driver.link import Link

# It writes warnings to stderr about errors that are raised here.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Row = TypeVar("Row", covariant=True)
T = TypeVar("T")


class Cursor(psycopg.Cursor[Row]):
    """A cursor of a `Connection`."""

    def execute(  # type: ignore[override]  # no template strings
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Run a statement, within the connection's time limit for one."""
        link = _link(self.connection)
        with link.answer:
            try:
                super().execute(query, params, prepare=prepare, binary=binary)
            except ValueError as error:
                if self.pgresult is not None:  # otherwise the error is about the parameters
                    link.fail_garbled(error)
                raise
        self._check_whole()
        return self

    @contextmanager
    def copy(
        self,
        statement: Query,
        params: Params | None = None,
        *,
        writer: Writer | None = None,
    ) -> Iterator[psycopg.Copy]:
        """Copy rows to the server, all within the time limit for one statement."""
        with (
            _link(self.connection).answer,
            super().copy(statement, params, writer=writer) as copy,
        ):
            yield copy

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return self._parsed(super().fetchone)

    def fetchall(self) -> list[Row]:
        """Return the remaining rows."""
        return self._parsed(super().fetchall)

    def __next__(self) -> Row:
        """Return the next row of the iteration."""
        return self._parsed(super().__next__)

    def _parsed(self, fetch: Callable[[], T]) -> T:
        try:
            return fetch()
        except (psycopg.Error, ValueError) as error:
            _link(self.connection).fail_garbled(error)

    def _check_whole(self) -> None:
        """Check that there are as many rows as the server reports. A duplicated packet adds some."""
        result = self.pgresult
        if result and result.ntuples and result.command_tuples not in (None, result.ntuples):
            _link(self.connection).fail_garbled(None)


class Connection(psycopg.Connection[TupleRow]):
    """A connection that raises DatabaseUnavailable if it is lost or refused, or gets no answer.

    Errors about a statement (a violated unique key or check, a deadlock) stay psycopg's.
    """

    @cached_property
    def link(self) -> Link:
        """The state of the connection to the server."""
        return Link(self.pgconn)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new cursor; `execute` creates one, too."""
        self.link.check_open()
        return super().cursor(*args, **kwargs)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Run the block in a transaction.

        A surplus answer would shift all later ones to earlier questions. At the start and end of a transaction the
        server reports whether it is in one, so the shift is detected before any answer is used.
        """
        link = self.link
        outside = self.pgconn.transaction_status == TransactionStatus.IDLE
        left_as = TransactionStatus.IDLE if outside else TransactionStatus.INTRANS
        patience = link.patience
        inner = super().transaction(savepoint_name, force_rollback)
        with link.answer:
            entered = inner.__enter__()
        try:
            link.check_step(TransactionStatus.INTRANS)
            yield entered
        except BaseException as error:
            with link.last_answer:
                suppressed = inner.__exit__(type(error), error, error.__traceback__)
            link.check_left(left_as, error)
            if not suppressed:
                raise
        else:
            with link.commit_answer if outside else link.answer:
                inner.__exit__(None, None, None)
            link.check_step(left_as)
        finally:
            link.patience = patience

    def notifies(
        self, *, timeout: float | None = None, stop_after: int | None = None
    ) -> Generator[psycopg.Notify, None, None]:
        """Yield incoming notifications."""
        try:
            yield from super().notifies(timeout=timeout, stop_after=stop_after)
        except (psycopg.Error, UnicodeDecodeError) as error:
            self.link.fail(error)
            raise

    def commit(self) -> None:
        """Commit a transaction that was begun without `transaction`."""
        with self.link.commit_answer:
            super().commit()

    def rollback(self) -> None:
        """Roll back a transaction that was begun without `transaction`."""
        with self.link.last_answer:
            super().rollback()


def _link(conn: psycopg.Connection[Any]) -> Link:
    assert isinstance(conn, Connection)
    return conn.link
