"""A connection that speaks in our own errors, waits for no answer for ever, and notices answers that are not its own.

Only what psycopg documents is overridden: `execute`, `copy` and the fetches of a cursor; `cursor`, `transaction`,
`notifies`, `commit` and `rollback` of a connection. All that goes over the wire passes one of them.
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

# What is about the server's condition, not about the statement.
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

# It warns on stderr of what is told here as an error.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

Row = TypeVar("Row", covariant=True)
T = TypeVar("T")


class Cursor(psycopg.Cursor[Row]):
    """A cursor of our connection."""

    def execute(  # type: ignore[override]  # no template strings
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Run a statement, within the time that the connection has for one."""
        line = _line(self.connection)
        with line.answer:
            try:
                super().execute(query, params, prepare=prepare, binary=binary)
            except ValueError as error:
                if self.pgresult is not None:  # else it is about the question
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
        """Copy rows to the server, all of them within the time for one statement."""
        with (
            _line(self.connection).answer,
            super().copy(statement, params, writer=writer) as copy,
        ):
            yield copy

    def fetchone(self) -> Row | None:
        """Give the next row."""
        return self._understood(super().fetchone)

    def fetchall(self) -> list[Row]:
        """Give the rows that are left."""
        return self._understood(super().fetchall)

    def __next__(self) -> Row:
        """Give the next row of those that are walked over."""
        return self._understood(super().__next__)

    def _understood(self, fetch: Callable[[], T]) -> T:
        try:
            return fetch()
        except (psycopg.Error, ValueError) as error:
            _line(self.connection).fail_garbled(error)

    def _check_whole(self) -> None:
        """Make sure that there are as many rows as the server says: a piece that came twice has more."""
        result = self.pgresult
        if result and result.ntuples and result.command_tuples not in (None, result.ntuples):
            _line(self.connection).fail_garbled(None)


class Connection(psycopg.Connection[TupleRow]):
    """A connection whose losses, refusals and silence are DatabaseUnavailable.

    Errors about a statement (a unique key that exists, a check that fails, a deadlock) stay what psycopg calls them.
    """

    @cached_property
    def line(self) -> Line:
        """What is known of the way to the server."""
        return Line(self.pgconn)

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Give a new cursor; `execute` makes one, too."""
        self.line.check_open()
        return super().cursor(*args, **kwargs)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        """Have what is in the block happen as a whole, or not at all.

        An answer too many makes each later one that of an earlier question. At the beginning and the end of a
        transaction the server says whether it is in one, so that this is noticed before anybody believes it.
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
        """Give the notices that come in."""
        try:
            yield from super().notifies(timeout=timeout, stop_after=stop_after)
        except (psycopg.Error, UnicodeDecodeError) as error:
            self.line.fail(error)
            raise

    def commit(self) -> None:
        """End a transaction that was begun without `transaction`."""
        with self.line.commit_answer:
            super().commit()

    def rollback(self) -> None:
        """Undo a transaction that was begun without `transaction`."""
        with self.line.last_answer:
            super().rollback()


class Line:
    """The way to the server of one connection: what it is called, how long it is waited for, what its failures mean.

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
        """A block in which one answer is waited for."""
        return _Answer(self)

    @property
    def commit_answer(self) -> _Answer:
        """The same for an answer that may be lost although what it answers was done."""
        return _Answer(self, hint=_PERHAPS_DONE)

    @property
    def last_answer(self) -> _Answer:
        """The same after an error, which may have been the end of the connection."""
        return _Answer(self, must_be_open=False)

    def begin(self) -> None:
        """An answer is waited for from now on."""
        if self.patience is not None:
            self._deadline.begin(self.patience)

    def end(self, error: BaseException | None) -> None:
        """It is not waited for any more. Answers that nobody asked for may have been taken for this one."""
        self._deadline.end()
        if self._stray and self.is_open:
            self.fail_garbled(error)

    @property
    def is_open(self) -> bool:
        return self._pgconn.status == ConnStatus.OK

    def check_open(self) -> None:
        """Refuse a connection that is over.

        Raises:
            DatabaseUnavailable: it is.
        """
        if not self.is_open:
            raise DatabaseUnavailable(
                "the connection to the database is closed.", hint=WAIT_AND_SEE
            )

    def check_step(self, wanted: TransactionStatus, error: BaseException | None = None) -> None:
        """Make sure that the last answer, if there was one, was that of the last question.

        Raises:
            AnswerGarbled: the server is in another state than it must be; the connection is closed.
        """
        if self.is_open and self._pgconn.transaction_status != wanted:
            self.fail_garbled(error)

    def check_left(self, wanted: TransactionStatus, error: BaseException) -> None:
        """The same after a transaction that an error has ended: one that followed from a wrong answer is no error."""
        self.check_step(wanted, error)
        known = isinstance(error, DatabaseUnavailable | psycopg.Error)
        if not self.is_open and isinstance(error, Exception) and not known:
            raise self._lost() from error

    def note(self, notice: errors.Diagnostic) -> None:
        """Hear a notice. One without a code is libpq's own: it has thrown away what nobody had asked for."""
        self._stray = self._stray or notice.sqlstate is None

    def fail_garbled(self, error: BaseException | None) -> NoReturn:
        """Close the connection, whose answers cannot be trusted any more, or say what became of it before."""
        if isinstance(error, psycopg.Error | UnicodeDecodeError):
            self.fail(error)
        self._pgconn.finish()
        raise self._garbled() from error

    def fail(self, error: psycopg.Error | UnicodeDecodeError, hint: str = WAIT_AND_SEE) -> None:
        """Raise what a failure means; return where it is about a statement alone."""
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
"""What the driver says of a statement or a value before it sends it; its other words are about an answer."""


class _Answer:
    """The block in which one answer is waited for."""

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
