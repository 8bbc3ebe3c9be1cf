"""An interface for long commands: it waits while the database, or the server, is away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from orchestra.domain.errors import DatabaseUnavailable, ServerUnavailable
from orchestra.interface.operation import Change, Connected, Request

if TYPE_CHECKING:
    from orchestra.cli.context import Context

T = TypeVar("T")

PAUSE = 1.0
"""Seconds between two attempts to connect."""


class ReconnectingInterface:
    """An `Interface` that repeats a question over a new connection if the old one was lost.

    A `Change` is never repeated: it may have been carried out.
    """

    def __init__(
        self,
        connected: Connected,
        connect: Callable[[], Connected],
        note: Callable[[str], None],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connected: Connected | None = connected
        self._connect, self._note, self._sleep = connect, note, sleep
        self._answered = False
        self._away: str | None = None

    def __call__(self, asked: Request[T], /) -> T:
        """Return the answer to a question, however long that takes.

        Raises:
            DatabaseUnavailable: at the first request, and at a change.
        """
        once = isinstance(asked, Change)
        while True:
            try:
                answer = self._connection()(asked)
            except DatabaseUnavailable as error:
                if once or not self._answered:
                    raise
                self._wait(error)
            else:
                self._note_presence()
                return answer

    def close(self) -> None:
        """Close the connection."""
        if self._connected:
            self._connected.close()

    def _connection(self) -> Connected:
        if self._connected is None or self._connected.closed:
            self._connected = None
            self._connected = self._connect()
        return self._connected

    def _wait(self, error: DatabaseUnavailable) -> None:
        from orchestra import command_words

        if not self._away:
            self._note(f"{command_words.message_of(error)} Waiting for it.")
        self._away = "server" if isinstance(error, ServerUnavailable) else "database"
        self._sleep(PAUSE)

    def _note_presence(self) -> None:
        if self._away:
            self._note(f"The {self._away} is back.")
        self._answered, self._away = True, None


@contextmanager
def reconnecting(
    ctx: Context, note: Callable[[str], None] | None = None
) -> Iterator[ReconnectingInterface]:
    """Open a reconnecting interface; `note` prints what happens to the connection, by default on stderr.

    Raises:
        DatabaseUnavailable, SchemaMismatch: the database, or the server, cannot be used at the start.
    """
    from orchestra.wiring.interface import open_interface, reopen_interface

    note = note or ctx.out.note
    connected = open_interface(ctx.settings, say=note)
    connect = lambda: reopen_interface(ctx.settings, name="maestro")  # noqa: E731
    with closing(ReconnectingInterface(connected, connect, note)) as found:
        yield found
