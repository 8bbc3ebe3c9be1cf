"""Carries requests out by the services, over one connection to the database.

A request `HoldTask` of `interface/tasks.py` is carried out by `hold_task(scope, asked)` in `interface/local/tasks.py`.
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
from orchestra.interface.operation import Request
from orchestra.store.driver.database import is_usable, probe

T = TypeVar("T")


class Scope:
    """What carrying a request out takes: a connection, and on whose behalf it is done."""

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
    ) -> None:
        self.conn = conn
        self.account = account
        self._find_caller = find_caller

    @cached_property
    def caller(self) -> Caller:
        """The caller, looked up when somebody first asks; many questions do not."""
        return self._find_caller(self.conn)


class Local:
    """An `Interface` over a connection of its own. To be used by one thread at a time.

    `account` is the caller's name; whether there is such a user is known when `find_caller` has looked.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
    ) -> None:
        self.conn = conn
        self._account = account
        self._find_caller = find_caller

    def __call__(self, asked: Request[T], /) -> T:
        """Carry a request out and return its answer. Who the caller is, and what they may do, is looked up anew."""
        try:
            answer: T = handler(type(asked))(
                Scope(self.conn, self._account, self._find_caller), asked
            )
        except OrchestraError:
            raise
        except Exception:
            # Perhaps it follows from an answer that came twice: then it is not we who are wrong.
            probe(self.conn)
            raise
        return answer

    @property
    def closed(self) -> bool:
        """Whether the connection was closed, or lost."""
        return self.conn.closed

    def works(self) -> bool:
        """Whether the server is there, and an interrupted call has left nothing open."""
        return is_usable(self.conn)

    def close(self) -> None:
        """Close the connection."""
        self.conn.close()


def handler(request: type[Request[Any]]) -> Callable[[Scope, Any], Any]:
    """Return what carries requests of a class out."""
    place = request.__module__.rpartition(".")[2]
    module = import_module(f"{__name__}.{place}")
    found: Callable[[Scope, Any], Any] = getattr(module, name_of_handler(request))
    return found


def name_of_handler(request: type[Request[Any]]) -> str:
    """`HoldTask` is carried out by `hold_task`."""
    return sub(r"(?<=[a-z])(?=[A-Z])", "_", request.__name__).lower()
