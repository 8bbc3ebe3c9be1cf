"""What a client asks: made at first need, made anew when its connection was lost, used by one call at a time.

It belongs to one process. A forked child and a process that is handed a client, a task or a job make their own.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from uuid import uuid4
from weakref import WeakValueDictionary

from orchestra.client import call_words
from orchestra.client.handover import Handover, pack
from orchestra.domain.errors import OrchestraError, Refused

if TYPE_CHECKING:
    from orchestra.config import Settings
    from orchestra.domain.short_names import ShortNames
    from orchestra.interface.operation import Connected, Interface, Request

T = TypeVar("T")

_log = logging.getLogger("orchestra.client")


class Session:
    """What all parts of a client share."""

    def __init__(self, settings: Settings | Handover, key: str = "") -> None:
        self._settings = settings
        self._key = key or uuid4().hex
        self._closed = False
        self._begin()
        _sessions[self._key] = self

    def _begin(self) -> None:
        """Begin anew: a forked process has neither its parent's connection nor the threads that hold its lock."""
        self._lock = threading.RLock()
        self._connected: Connected | None = None

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __copy__(self) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        given = self._settings
        return _received, (self._key, given if isinstance(given, Handover) else pack(given))

    @property
    def settings(self) -> Settings:
        """The configuration.

        Raises:
            ConfigurationError: it came from another process, and cannot be used here.
        """
        if isinstance(self._settings, Handover):
            with with_hint():
                self._settings = self._settings.unpacked()
        return self._settings

    def __call__(self, asked: Request[T], /) -> T:
        """Carry a request out and return its answer; other threads wait for its end.

        Raises:
            OrchestraError: it was refused, or the database cannot be used; one sentence says why.
            Refused: the client was closed.
        """
        with self.interface() as ask:
            return ask(asked)

    @contextmanager
    def interface(self, *, start: bool = True) -> Iterator[Interface]:
        """Give what carries requests out for the length of the block; other threads wait for its end.

        `start` says whether an embedded database that was stopped is started.

        Raises:
            DatabaseUnavailable, SchemaMismatch, ConfigurationError: there is none.
            Refused: the client was closed.
        """
        with self._lock, with_hint():
            yield self._usable(start)

    @property
    def user_name(self) -> str:
        """The current user's name, as it is configured."""
        from orchestra.wiring.identity import user_name

        return user_name(self.settings)

    @property
    def names(self) -> ShortNames:
        """What the current user may leave out of the names of what is theirs."""
        from orchestra.domain.short_names import ShortNames

        return ShortNames(self.user_name)

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            self._drop()

    def _usable(self, start: bool) -> Connected:
        if self._closed:
            raise Refused("this client is closed.", hint="orchestra.Client() makes another.")
        if self._connected is not None and not self._connected.works():
            self._drop()
        if self._connected is None:
            self._connected = self._connect(start)
        return self._connected

    def _connect(self, start: bool) -> Connected:
        from orchestra.wiring.interface import open_interface, reopen_interface

        if start:
            return open_interface(self.settings, say=_log.info)
        return reopen_interface(self.settings, name="maestro client")

    def _drop(self) -> None:
        if self._connected is not None:
            self._connected.close()
        self._connected = None


_sessions: WeakValueDictionary[str, Session] = WeakValueDictionary()
"""Those of this process, and of the one that it was forked from."""
_handed_over: dict[Handover, Session] = {}


def _begin_in_child() -> None:
    for session in list(_sessions.values()):
        session._begin()


os.register_at_fork(after_in_child=_begin_in_child)


def _received(key: str, handover: Handover) -> Session:
    """Give the session that was pickled, if this process has it; else one for all that came with the same settings."""
    known = _sessions.get(key)
    if known is not None and not known._closed:
        return known
    if handover not in _handed_over:
        _handed_over[handover] = Session(handover, key)
    return _handed_over[handover]


@contextmanager
def with_hint() -> Iterator[None]:
    """Have an error speak Python, and its traceback say what to do; on the command line that is printed beside it."""
    try:
        yield
    except OrchestraError as error:
        error.reword(call_words.term)
        if error.hint and error.hint not in getattr(error, "__notes__", ()):
            error.add_note(error.hint)
        raise
