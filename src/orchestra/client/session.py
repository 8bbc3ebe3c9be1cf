"""A client's session: connects at first need, reconnects after a lost connection, serves one call at a time.

It belongs to one process. A forked child, and a process that unpickles a client, a task or a job, connect on their own.
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
    """The state that all parts of a client share."""

    def __init__(self, settings: Settings | Handover, key: str = "") -> None:
        self._settings = settings
        self._key = key or uuid4().hex
        self._closed = False
        self._user_name: str | None = None
        self._begin()
        _sessions[self._key] = self

    def _begin(self) -> None:
        """Reset: a forked process has neither its parent's connection nor the threads that hold its lock."""
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
            ConfigurationError: it comes from another process, and cannot be used here.
        """
        if isinstance(self._settings, Handover):
            with with_hint():
                self._settings = self._settings.unpacked()
        return self._settings

    def __call__(self, asked: Request[T], /) -> T:
        """Carry out a request and return its answer; other threads wait meanwhile.

        Raises:
            OrchestraError: the request was refused, or the database cannot be used.
            Refused: the client was closed.
        """
        with self.interface() as ask:
            return ask(asked)

    @contextmanager
    def interface(self, *, start: bool = True) -> Iterator[Interface]:
        """Provide an interface for the length of the block; other threads wait meanwhile.

        `start`: whether to start an embedded database that was stopped.

        Raises:
            DatabaseUnavailable, SchemaMismatch, ConfigurationError: the database cannot be used.
            Refused: the client was closed.
        """
        with self._lock, with_hint():
            yield self._usable(start)

    @property
    def user_name(self) -> str:
        """The current user's name in Orchestra.

        Raises:
            OrchestraError: only a server knows it, and cannot be asked.
        """
        if self._user_name is None:
            from orchestra.wiring.interface import my_name

            if self.settings.server is None:
                self._user_name = my_name(self.settings)
            else:
                with self.interface() as ask:
                    self._user_name = my_name(self.settings, ask)
        return self._user_name

    @property
    def names(self) -> ShortNames:
        """The rules by which the current user may shorten their own names."""
        from orchestra.domain.short_names import ShortNames

        return ShortNames(self.user_name)

    def close(self) -> None:
        """Close the connection for good."""
        with self._lock:
            self._closed = True
            self._drop()

    def _usable(self, start: bool) -> Connected:
        if self._closed:
            raise Refused("this client is closed.", hint="orchestra.Client() creates another one.")
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
"""Sessions of this process, and of the one that it was forked from."""
_handed_over: dict[Handover, Session] = {}


def _begin_in_child() -> None:
    for session in list(_sessions.values()):
        session._begin()


os.register_at_fork(after_in_child=_begin_in_child)


def _received(key: str, handover: Handover) -> Session:
    """Return the pickled session if this process has it, else one shared by all with the same settings."""
    known = _sessions.get(key)
    if known is not None and not known._closed:
        return known
    if handover not in _handed_over:
        _handed_over[handover] = Session(handover, key)
    return _handed_over[handover]


@contextmanager
def with_hint() -> Iterator[None]:
    """Word errors for Python, with the hint as a note in the traceback; the command line prints hints by itself."""
    try:
        yield
    except OrchestraError as error:
        error.reword(call_words.term)
        if error.hint and error.hint not in getattr(error, "__notes__", ()):
            error.add_note(error.hint)
        raise
