"""Carries out requests through the services, over one connection to the database.

The request `HoldTask` of `interface/task_changes.py` is carried out by `hold_task(scope, asked)` in
`interface/local/task_changes.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from re import sub
from typing import Any, TypeVar

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import OrchestraError
from orchestra.domain.models.logs import FoundPart, WantedPart
from orchestra.interface.operation import Request
from orchestra.store.driver.database import is_usable, probe

T = TypeVar("T")


ReadLogFile = Callable[[str, WantedPart], FoundPart | None]
"""Reads a part of a log that belongs to a Unix account; None if the file may not or cannot be read."""


def read_no_file(_account: str, _wanted: WantedPart) -> None:
    """Read no log: a client reads the files that it sees itself."""


class Scope:
    """The context of a request: a connection, the caller, and what reads log files on behalf of callers elsewhere."""

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
        read_log_file: ReadLogFile = read_no_file,
    ) -> None:
        self.conn = conn
        self.account = account
        self._find_caller = find_caller
        self.read_log_file = read_log_file

    @cached_property
    def caller(self) -> Caller:
        """The caller, looked up at first need; many questions do not need it."""
        return self._find_caller(self.conn)


class Local:
    """An `Interface` over a connection of its own, for one thread at a time.

    `account` is the caller's name; `find_caller` looks up whether there is such a user. `read_log_file` reads the logs
    that callers cannot read themselves.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
        read_log_file: ReadLogFile = read_no_file,
    ) -> None:
        self.conn = conn
        self._account = account
        self._find_caller = find_caller
        self._read_log_file = read_log_file

    def __call__(self, asked: Request[T], /) -> T:
        """Carry out a request and return its answer. The caller and their rights are looked up each time."""
        try:
            answer: T = handler(type(asked))(
                Scope(self.conn, self._account, self._find_caller, self._read_log_file), asked
            )
        except OrchestraError:
            raise
        except Exception:
            # It may follow from an answer that arrived twice, which is not an error of this program.
            probe(self.conn)
            raise
        return answer

    @property
    def closed(self) -> bool:
        """Whether the connection was closed, or lost."""
        return self.conn.closed

    def works(self) -> bool:
        """Whether the server responds, and no interrupted call has left a transaction open."""
        return is_usable(self.conn)

    def close(self) -> None:
        """Close the connection."""
        self.conn.close()


def handler(request: type[Request[Any]]) -> Callable[[Scope, Any], Any]:
    """Return the function that carries out requests of a class."""
    place = request.__module__.rpartition(".")[2]
    module = import_module(f"{__name__}.{place}")
    found: Callable[[Scope, Any], Any] = getattr(module, name_of_handler(request))
    return found


def name_of_handler(request: type[Request[Any]]) -> str:
    """`HoldTask` is carried out by `hold_task`."""
    return sub(r"(?<=[a-z])(?=[A-Z])", "_", request.__name__).lower()
