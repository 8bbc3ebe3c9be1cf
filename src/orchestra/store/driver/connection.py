"""A connection that raises Orchestra's errors, limits the time for each answer, and detects misplaced answers.

Only documented methods of psycopg are overridden: `execute`, `copy` and the fetches of a cursor; `cursor`,
`transaction`, `notifies`, `commit` and `rollback` of a connection. All traffic passes through one of them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Literal, NoReturn, Self, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import Params, Query, QueryNoTemplate
from psycopg.copy import Writer
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from orchestra.domain.errors import (
    AnswerGarbled,
    DatabaseBusy,
    DatabaseSilent,
    DatabaseUnavailable,
)
from orchestra.store.driver.deadlines import Deadline

WAIT_AND_SEE = "Running jobs are not affected. Try again when the database is back."
MENDED = "Running jobs are not affected. Try again when that is mended."
AGAIN = "Running jobs are not affected. Try again."
_PERHAPS_DONE = (
    "Running jobs are not affected. Look whether it was done before you try again: only the "
    "answer may have been lost."
)

# Errors about the server's condition, not about the statement.
_CONDITIONS: dict[str, str] = {
    "53100": "has no space left on its disk",
    "53200": "is out of memory",
    "53300": "has no connection left: too many are open",
    "55P03": "is busy: a lock that this needs was held by others for too long",
    "57014": "is busy: a statement took longer than it may",
    "57P01": "is shutting down",
    "57P02": "is shutting down after a crash",
    "57P03": "is starting up or shutting down",
}
_BUSY = ("55P03", "57014")
_FULL = ("53100", "53200", "53300")

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
        line = _line(self.connection)
        with line.answer:
            try:
                super().execute(query, params, prepare=prepare, binary=binary)
            except ValueError as error:
                if self.pgresult is not None:  # otherwise the error is about the parameters
                    line.fail_garbled(error)
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
            _line(self.connection).answer,
            super().copy(statement, params, writer=writer) as copy,
        ):
            yield copy

    def fetchone(self) -> Row | None:
        """Return the next row."""
        return self._understood(super().fetchone)

    def fetchall(self) -> list[Row]:
        """Return the remaining rows."""
        return self._understood(super().fetchall)

    def __next__(self) -> Row:
        """Return the next row of the iteration."""
        return self._understood(super().__next__)

    def _understood(self, fetch: Callable[[], T]) -> T:
        try:
            return fetch()
        except (psycopg.Error, ValueError) as error:
            _line(self.connection).fail_garbled(error)

    def _check_whole(self) -> None:
        """Check that there are as many rows as the server says. A duplicated packet adds some."""
        result = self.pgresult
        if result and result.ntuples and result.command_tuples not in (None, result.ntuples):
            _line(self.connection).fail_garbled(None)


class Connection(psycopg.Connection[TupleRow]):
    """A connection that raises DatabaseUnavailable if it is lost or refused, or gets no answer.

    Errors about a statement (a violated unique key or check, a deadlock) stay psycopg's.
    """

    @cached_property
    def line(self) -> Line:
        """The state of the connection to the server."""
        return Line(self.pgconn)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new cursor; `execute` creates one, too."""
        self.line.check_open()
        return super().cursor(*args, **kwargs)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Run the block in a transaction.

        A surplus answer would shift all later ones to earlier questions. At the start and end of a transaction the
        server reports whether it is in one, so the shift is detected before any answer is used.
        """
        line = self.line
        outside = self.pgconn.transaction_status == TransactionStatus.IDLE
        left_as = TransactionStatus.IDLE if outside else TransactionStatus.INTRANS
        patience = line.patience
        inner = super().transaction(savepoint_name, force_rollback)
        with line.answer:
            entered = inner.__enter__()
        try:
            line.check_step(TransactionStatus.INTRANS)
            yield entered
        except BaseException as error:
            with line.last_answer:
                swallowed = inner.__exit__(type(error), error, error.__traceback__)
            line.check_left(left_as, error)
            if not swallowed:
                raise
        else:
            with line.commit_answer if outside else line.answer:
                inner.__exit__(None, None, None)
            line.check_step(left_as)
        finally:
            line.patience = patience

    def notifies(
        self, *, timeout: float | None = None, stop_after: int | None = None
    ) -> Generator[psycopg.Notify, None, None]:
        """Yield incoming notifications."""
        try:
            yield from super().notifies(timeout=timeout, stop_after=stop_after)
        except (psycopg.Error, UnicodeDecodeError) as error:
            self.line.fail(error)
            raise

    def commit(self) -> None:
        """Commit a transaction that was begun without `transaction`."""
        with self.line.commit_answer:
            super().commit()

    def rollback(self) -> None:
        """Roll back a transaction that was begun without `transaction`."""
        with self.line.last_answer:
            super().rollback()


class Line:
    """One connection's link to the server: its name, the time limit for answers, and what its failures mean.

    Args:
        place: as in "the database at HOST:PORT".
        patience: seconds for one answer; None is no limit.
    """

    def __init__(self, pgconn: PGconn) -> None:
        self._pgconn = pgconn
        self._deadline = Deadline(pgconn.socket)
        self._stray = False
        self.place = "the database"
        self.patience: float | None = None

    @property
    def answer(self) -> _Answer:
        """A block that waits for one answer."""
        return _Answer(self)

    @property
    def commit_answer(self) -> _Answer:
        """The same for a commit, whose answer may be lost although it was carried out."""
        return _Answer(self, hint=_PERHAPS_DONE)

    @property
    def last_answer(self) -> _Answer:
        """The same after an error, which may have closed the connection."""
        return _Answer(self, must_be_open=False)

    def begin(self) -> None:
        """Start to wait for an answer."""
        if self.patience is not None:
            self._deadline.begin(self.patience)

    def end(self, error: BaseException | None) -> None:
        """Stop waiting for the answer. Surplus answers may have been mistaken for it."""
        self._deadline.end()
        if self._stray and self.is_open:
            self.fail_garbled(error)

    @property
    def is_open(self) -> bool:
        return self._pgconn.status == ConnStatus.OK

    def check_open(self) -> None:
        """Check that the connection is open.

        Raises:
            DatabaseUnavailable: it is closed.
        """
        if not self.is_open:
            raise DatabaseUnavailable(
                "the connection to the database is closed.", hint=WAIT_AND_SEE
            )

    def check_step(self, wanted: TransactionStatus, error: BaseException | None = None) -> None:
        """Check that the last answer belongs to the last question.

        Raises:
            AnswerGarbled: the server's transaction state is wrong; the connection is closed.
        """
        if self.is_open and self._pgconn.transaction_status != wanted:
            self.fail_garbled(error)

    def check_left(self, wanted: TransactionStatus, error: BaseException) -> None:
        """The same after an error has ended a transaction. An error that follows from a wrong answer is replaced."""
        self.check_step(wanted, error)
        known = isinstance(error, DatabaseUnavailable | psycopg.Error)
        if not self.is_open and isinstance(error, Exception) and not known:
            raise self._lost() from error

    def note(self, notice: errors.Diagnostic) -> None:
        """Handle a notice. One without a code is from libpq, which has discarded a surplus answer."""
        self._stray = self._stray or notice.sqlstate is None

    def fail_garbled(self, error: BaseException | None) -> NoReturn:
        """Close the connection, whose answers are no longer reliable, or raise what has already happened to it."""
        if isinstance(error, psycopg.Error | UnicodeDecodeError):
            self.fail(error)
        self._pgconn.finish()
        raise self._garbled() from error

    def fail(self, error: psycopg.Error | UnicodeDecodeError, hint: str = WAIT_AND_SEE) -> None:
        """Raise the error for a failure; return if it is about the statement only."""
        if failure := self._failure(error, hint):
            if isinstance(failure, AnswerGarbled):
                self._pgconn.finish()
            raise failure from error

    def _failure(
        self, error: psycopg.Error | UnicodeDecodeError, hint: str
    ) -> DatabaseUnavailable | None:
        state = error.sqlstate or "" if isinstance(error, psycopg.Error) else ""
        if isinstance(error, errors.InsufficientPrivilege):
            user = self._pgconn.user.decode(errors="replace")
            return DatabaseUnavailable(
                f'the database does not let user "{user}" do that: {_what_is_denied(error)}.',
                hint="Its owner grants the rights; docs/lab-with-postgresql.md shows which.",
            )
        if condition := _CONDITIONS.get(state):
            if state in _BUSY:
                return DatabaseBusy(f"the database {condition}.", hint=AGAIN)
            if state in _FULL:
                return DatabaseUnavailable(f"the database {condition}.", hint=MENDED)
            return DatabaseUnavailable(f"the database {condition}.", hint=WAIT_AND_SEE)
        if not self.is_open:
            return self._lost(hint)
        if state.startswith("08") or not (state or isinstance(error, _OF_A_QUESTION)):
            return self._garbled()
        return None

    def _lost(self, hint: str = WAIT_AND_SEE) -> DatabaseUnavailable:
        if self._deadline.passed:
            return DatabaseSilent(f"{self.place} does not answer.", hint=hint)
        return DatabaseUnavailable("the connection to the database was lost.", hint=hint)

    def _garbled(self) -> AnswerGarbled:
        return AnswerGarbled(
            f"what came from {self.place} cannot be understood; something on the way to it has altered it.",
            hint=_PERHAPS_DONE,
        )


_OF_A_QUESTION = (psycopg.ProgrammingError, psycopg.DataError)
"""Errors of the driver about a statement or a value before it is sent. Its other errors are about an answer."""


class _Answer:
    """The block that waits for one answer."""

    def __init__(self, line: Line, *, hint: str = WAIT_AND_SEE, must_be_open: bool = True) -> None:
        self._line, self._hint, self._must_be_open = line, hint, must_be_open

    def __enter__(self) -> None:
        if self._must_be_open:
            self._line.check_open()
        self._line.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._line.end(error)
        if isinstance(error, psycopg.Error | UnicodeDecodeError):
            self._line.fail(error, self._hint)
        return False


def _line(conn: psycopg.Connection[Any]) -> Line:
    assert isinstance(conn, Connection)
    return conn.line


def _what_is_denied(error: psycopg.Error) -> str:
    return error.diag.message_primary or "permission denied"
