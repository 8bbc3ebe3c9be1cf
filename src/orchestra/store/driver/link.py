"""A connection's link to the server: time limits for answers, and what its failures mean."""

from __future__ import annotations

from types import TracebackType
from typing import Literal, NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.pq.abc import PGconn

from orchestra.domain.errors import (
    AnswerGarbled,
    DatabaseBusy,
    DatabaseSilent,
    DatabaseUnavailable,
)
from orchestra.store.driver.deadlines import Deadline

WAIT_AND_SEE = "Running jobs are not affected. Try again when the database is back."
FIXED = "Running jobs are not affected. Try again when that is fixed."
AGAIN = "Running jobs are not affected. Try again."
_PERHAPS_DONE = (
    "Running jobs are not affected. Check whether it was done before you try again: only the "
    "answer may have been lost."
)

# Errors about the server's condition, not about the statement.
_CONDITIONS: dict[str, str] = {
    "53100": "has no space left on its disk",
    "53200": "is out of memory",
    "53300": "has no connection left: too many are open",
    "55P03": "is busy: a lock that this needs was held by others for too long",
    "57014": "is busy: a statement took longer than allowed",
    "57P01": "is shutting down",
    "57P02": "is shutting down after a crash",
    "57P03": "is starting up or shutting down",
}
_BUSY = ("55P03", "57014")
_FULL = ("53100", "53200", "53300")


class Link:
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
    def answer(self) -> Answer:
        """A block that waits for one answer."""
        return Answer(self)

    @property
    def commit_answer(self) -> Answer:
        """The same for a commit, whose answer may be lost although it was carried out."""
        return Answer(self, hint=_PERHAPS_DONE)

    @property
    def last_answer(self) -> Answer:
        """The same after an error, which may have closed the connection."""
        return Answer(self, must_be_open=False)

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
                return DatabaseUnavailable(f"the database {condition}.", hint=FIXED)
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
            f"the answer of {self.place} is garbled; something on the network has altered it.",
            hint=_PERHAPS_DONE,
        )


_OF_A_QUESTION = (psycopg.ProgrammingError, psycopg.DataError)
"""Errors of the driver about a statement or a value before it is sent. Its other errors are about an answer."""


class Answer:
    """The block that waits for one answer."""

    def __init__(self, link: Link, *, hint: str = WAIT_AND_SEE, must_be_open: bool = True) -> None:
        self._link, self._hint, self._must_be_open = link, hint, must_be_open

    def __enter__(self) -> None:
        if self._must_be_open:
            self._link.check_open()
        self._link.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[False]:
        self._link.end(error)
        if isinstance(error, psycopg.Error | UnicodeDecodeError):
            self._link.fail(error, self._hint)
        return False


def _what_is_denied(error: psycopg.Error) -> str:
    return error.diag.message_primary or "permission denied"
