"""Carries out requests through the services, over one connection to the database.

The request `HoldTask` of `interface/task_changes.py` is carried out by `hold_task(scope, asked)` in
`interface/local/task_changes.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from re import sub
from typing import Any, TypeVar, get_args

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import OrchestraError
from orchestra.domain.identities import Identity, UnixAccount
from orchestra.domain.models.logs import FoundPart, WantedPart
from orchestra.domain.models.new_tasks import NewTask
from orchestra.interface.operation import Request
from orchestra.store.driver.database import is_usable, probe

T = TypeVar("T")


ReadLogFile = Callable[[str, WantedPart], FoundPart | None]
"""Reads a part of a log that belongs to a Unix account; None if the file may not or cannot be read."""


def read_no_file(_account: str, _wanted: WantedPart) -> None:
    """Read no log: a client reads the files that it sees itself."""


@dataclass(frozen=True, slots=True)
class Through:
    """The server that a call came through.

    Args:
        identity: who calls.
        open_logs: whether it lets users read the logs of others' jobs.
        address: that of its pages, as far as it knows.
    """

    identity: Identity
    open_logs: bool = True
    address: str | None = None


def no_account() -> None:
    """No Unix account was proven."""


class Scope:
    """The context of a request: a connection, the caller, and what is known about where the request comes from.

    Args:
        account: the caller's name.
        find_unix: returns the Unix account that was proven; on a direct connection it is that of this process.
        through: the server that the call came through; None for a direct connection, whose word is trusted.
        read_log_file: reads logs that the caller cannot read itself.
    """

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
        find_unix: Callable[[], UnixAccount | None] = no_account,
        through: Through | None = None,
        read_log_file: ReadLogFile = read_no_file,
    ) -> None:
        self.conn = conn
        self.account = account
        self.through = through
        self._find_caller = find_caller
        self._find_unix = find_unix
        self.read_log_file = read_log_file

    @cached_property
    def caller(self) -> Caller:
        """The caller, looked up at first need; many questions do not need it."""
        return self._find_caller(self.conn)

    @cached_property
    def unix(self) -> UnixAccount | None:
        """The caller's Unix account, if one was proven."""
        return self._find_unix()

    @property
    def identity(self) -> Identity | None:
        """Who calls through a server, and how that was proven; None for a direct connection."""
        return self.through.identity if self.through else None

    def may_read_logs_of(self, owner: str) -> bool:
        """Whether the caller may read the logs of a user's jobs: everybody may, unless a server keeps them closed."""
        if self.through is None or self.through.open_logs:
            return True
        return self.through.identity.caller.may_change(owner)

    def proven(self, new: NewTask) -> NewTask:
        """Return a request for a task with the Unix account that was proven, if it came through a server.

        Only pilots that serve all accounts run a task without one.
        """
        if self.through is None:
            return new
        unix = self.unix or UnixAccount("", "")
        return replace(new, account=unix.name, host=unix.host)


class Local:
    """An `Interface` over a connection, for one thread at a time. The arguments are those of a `Scope`."""

    def __init__(
        self,
        conn: psycopg.Connection,
        account: str,
        find_caller: Callable[[psycopg.Connection], Caller],
        find_unix: Callable[[], UnixAccount | None] = no_account,
        through: Through | None = None,
        read_log_file: ReadLogFile = read_no_file,
    ) -> None:
        self.conn = conn
        self._scope = (account, find_caller, find_unix, through, read_log_file)

    @classmethod
    def behind(
        cls,
        conn: psycopg.Connection,
        through: Through,
        read_log_file: ReadLogFile = read_no_file,
    ) -> Local:
        """Return what carries out a call that came through a server."""
        who = through.identity
        return cls(
            conn, who.user.name, lambda _: who.caller, lambda: who.unix, through, read_log_file
        )

    def __call__(self, asked: Request[T], /) -> T:
        """Carry out a request and return its answer. The caller and their rights are looked up each time."""
        try:
            scope = Scope(self.conn, *self._scope)
            answer: T = handler(type(asked))(scope, asked)
            if scope.through is not None and not scope.through.identity.admin:
                answer = _discreet(scope.through, asked, answer)
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


def _discreet(through: Through, asked: Request[T], answer: T) -> T:
    """Return an answer without what the caller must not see of others' tasks."""
    from orchestra.interface.local.discretion import discreet

    (kind,) = get_args(type(asked).__orig_bases__[0])  # type: ignore[attr-defined]
    user = through.identity.user.name
    return discreet(answer, kind, user, open_logs=through.open_logs)
