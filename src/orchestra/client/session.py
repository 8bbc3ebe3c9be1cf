"""A client's connection: made at first need, made anew when it was lost, used by one call at a time."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestra.client.python_words import in_python
from orchestra.domain.errors import DatabaseUnavailable, OrchestraError, Refused

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.models.people import User
    from orchestra.domain.own_names import OwnNames

_log = logging.getLogger("orchestra.client")


class Session:
    """What all parts of a client share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._conn: psycopg.Connection | None = None
        self._user: User | None = None
        self._owner = os.getpid()
        self._closed = False

    @contextmanager
    def connection(self, *, start: bool = True) -> Iterator[psycopg.Connection]:
        """Give the connection for the length of the block; other threads wait for its end.

        `start` says whether an embedded database that was stopped is started.

        Raises:
            DatabaseUnavailable, SchemaMismatch, ConfigurationError: there is none.
            Refused: the client was closed.
        """
        with self._lock, with_hint():
            yield self._usable(start)

    def me(self, conn: psycopg.Connection) -> User:
        """Give the current user, made on first need."""
        from orchestra import wiring

        if self._user is None:
            self._user = wiring.current_user(conn, self.settings, say=_log.info)
        return self._user

    @property
    def names(self) -> OwnNames:
        """What the current user may leave out of the names of what is theirs."""
        from orchestra import wiring
        from orchestra.domain.own_names import OwnNames

        return OwnNames(wiring.user_name(self.settings))

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            self._drop()

    def _usable(self, start: bool) -> psycopg.Connection:
        if self._closed:
            raise Refused("this client is closed.", hint="orchestra.Client() makes another.")
        if self._owner != os.getpid():
            # A forked process: the connection is its parent's.
            self._conn, self._owner = None, os.getpid()
        if self._conn is not None and not _answers(self._conn):
            self._drop()
        if self._conn is None:
            self._conn = self._open(start)
        return self._conn

    def _open(self, start: bool) -> psycopg.Connection:
        from orchestra import wiring

        if start:
            return wiring.open_database(self.settings, say=_log.info)
        return wiring.reconnect(self.settings, name="maestro client")

    def _drop(self) -> None:
        """The user goes as well: a database that was exchanged knows others."""
        if self._conn is not None:
            self._conn.close()
        self._conn = self._user = None


@contextmanager
def with_hint() -> Iterator[None]:
    """Have an error speak Python, and its traceback say what to do; on the command line that is printed beside it."""
    try:
        yield
    except OrchestraError as error:
        error.args = (in_python(str(error)),)
        error.hint = in_python(error.hint) if error.hint else None
        if error.hint and error.hint not in getattr(error, "__notes__", ()):
            error.add_note(error.hint)
        raise


def _answers(conn: psycopg.Connection) -> bool:
    """Whether it can be used: the server is there, and an interrupted call has left nothing open."""
    from psycopg import Error
    from psycopg.pq import TransactionStatus

    try:
        conn.execute("")
    except (DatabaseUnavailable, Error):
        return False
    return conn.info.transaction_status == TransactionStatus.IDLE
