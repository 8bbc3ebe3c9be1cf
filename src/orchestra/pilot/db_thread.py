"""The courier: the thread that owns an agent's one database connection.

The agent puts requests into its queue; the courier carries them out in order, the urgent ones first, each again until
it has been answered, and posts the answers into the agent's inbox. So the agent never waits for the database. Requests
must be repeatable: one whose answer was lost on the way happens twice.

A request that comes to nothing lets the others go first, for longer each time. Whatever else is raised than a word of
ours ends the connection, since nobody knows what its next answer would be to, and never the courier.
"""

from __future__ import annotations

import logging
import random
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from orchestra.domain.errors import (
    AnswerGarbled,
    DatabaseBusy,
    DatabaseSilent,
    DatabaseUnavailable,
    OrchestraError,
    PoisonousRequest,
)
from orchestra.store.driver import database, notices

T = TypeVar("T")

log = logging.getLogger(__name__)

BACK_OFF_AT_MOST = 10.0
"""Seconds between two tries to connect."""

QUIET_AT_MOST = 5.0
"""Seconds at rest after which the database is asked whether it is still there."""

BUSY_TRIES = 3
"""Time-outs after which a request goes back to whoever made it."""

STRANGE_TRIES = 3
"""Connections on which what a request raises must be the same trouble before that is believed."""

POISONOUS_TRIES = 8
"""Connections, each of them greeted, that one request may end before it is set aside, while others are answered."""

_NEVER = float("inf")
_LOST = "the connection to the database was lost."

Connect = Callable[[], psycopg.Connection]


class Alarm:
    """A descriptor that becomes readable when another thread, or a signal handler, rings."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        for end in (self._near, self._far):
            end.setblocking(False)

    def fileno(self) -> int:
        return self._near.fileno()

    @property
    def far_fileno(self) -> int:
        """The end that rings, for `signal.set_wakeup_fd`."""
        return self._far.fileno()

    def ring(self) -> None:
        with suppress(OSError):  # full, so it rings already; or closed, so nobody is there
            self._far.send(b"!")

    def hush(self) -> None:
        with suppress(BlockingIOError):
            while self._near.recv(4096):
                pass

    def close(self) -> None:
        self._near.close()
        self._far.close()


class Inbox:
    """What other threads have for the agent: calls that it carries out in its own thread."""

    def __init__(self) -> None:
        self.alarm = Alarm()
        self._calls: deque[Callable[[], None]] = deque()

    def post(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        self.alarm.ring()

    def empty(self) -> None:
        """Carry out all that has been posted."""
        self.alarm.hush()
        while self._calls:
            self._calls.popleft()()


@dataclass(slots=True, eq=False)
class _Request:
    """What is asked, and what became of it so far.

    Args:
        not_before: when it may be tried again, by the monotonic clock.
        tries: how often it came to nothing; `busy` by a time-out, `strange` in a way that nobody expects, `fatal` with
            the end of the connection. `answered` were the requests answered before the first of those.
    """

    call: Callable[[psycopg.Connection], Any]
    then: Callable[[Any], None]
    otherwise: Callable[[Exception], None]
    urgent: bool
    busy_tries: int
    not_before: float = 0.0
    tries: int = 0
    busy: int = 0
    strange: int = 0
    fatal: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class Listener:
    """What a courier tells besides answers; all of it is called in the agent's thread.

    Args:
        connected: a connection stands, with what the greeting gave.
        refused: the database answers and does not want us; tried again later.
        away: the database cannot be reached; said once for each absence.
        heard: a notice came: channel and payload.
        hindered: what keeps requests waiting although the database answers; None when nothing does any more.
    """

    connected: Callable[[Any], None]
    refused: Callable[[OrchestraError], None]
    away: Callable[[OrchestraError], None]
    heard: Callable[[str, str], None]
    hindered: Callable[[str | None], None] = lambda _: None


def back_off(failures: int) -> float:
    """Give the seconds to wait after so many failures in a row: doubling, capped, with jitter."""
    longest = min(BACK_OFF_AT_MOST, 0.1 * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - so that pilots do not come back all at once


def is_passing(error: Exception) -> bool:
    """Whether the same request may well succeed later: the trouble is the server's, not the request's."""
    victims = (errors.DeadlockDetected, errors.SerializationFailure)
    return isinstance(error, (DatabaseUnavailable, psycopg.OperationalError, *victims))


def was_ended_by_request(error: Exception) -> bool:
    """Whether it may be the request that has ended a connection: nobody said why, so no shutdown and no admin did."""
    if isinstance(error, DatabaseSilent | AnswerGarbled):
        return True
    said = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    return isinstance(said, psycopg.OperationalError) and said.sqlstate is None


class DatabaseThread(threading.Thread):
    """Owns the connection, from `start` to `stop`."""

    def __init__(
        self,
        connect: Connect,
        greet: Callable[[psycopg.Connection], Any],
        inbox: Inbox,
        listener: Listener,
    ) -> None:
        """Prepare it.

        Args:
            greet: the first words on every new connection; what it gives goes to `listener.connected`.
        """
        super().__init__(name="courier", daemon=True)
        self._connect, self._greet = connect, greet
        self._inbox, self._listener = inbox, listener
        self._requests: list[_Request] = []
        self._alarm = Alarm()
        self._closing = False
        self._hung_up = threading.Event()
        self._failures = self._answered = 0
        self._absent_since: float | None = None
        self._heard_at = 0.0
        self._spoilt = False
        self._hindrance: str | None = None

    def submit(
        self,
        call: Callable[[psycopg.Connection], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
        *,
        urgent: bool = False,
        busy_tries: int = BUSY_TRIES,
    ) -> None:
        """Queue a request. `then` gets its answer, `otherwise` why it was refused; both in the agent's thread.

        An urgent one goes before all that wait, and is never given back because the database is busy: leases hang on
        it. Others are after so many time-outs.
        """
        self._requests.append(_Request(call, then, otherwise, urgent, busy_tries))
        self._alarm.ring()

    def connect_anew(self) -> None:
        """Go on over a new connection: what was said over this one is doubted."""
        self._spoilt = True
        self._alarm.ring()

    def stop(self, timeout: float) -> None:
        """Carry out what is queued, hang up and end; give up after `timeout` seconds."""
        self._closing = True
        self._alarm.ring()
        self.join(timeout)
        self._hung_up.set()  # it waits for a database that is away
        self.join(0.2)
        if not self.is_alive():
            self._alarm.close()

    # In the courier's own thread

    def run(self) -> None:
        while not self._over():
            try:
                self._serve_one_connection()
            except Exception as error:  # noqa: BLE001 - whatever it is, the agent must not lose its courier
                self._explain(error)
                self._failures += 1
                self._hung_up.wait(back_off(self._failures))

    def _over(self) -> bool:
        return self._hung_up.is_set() or (self._closing and not self._requests)

    def _serve_one_connection(self) -> None:
        conn = self._connect()
        try:
            notices.listen(conn, self._heard)
            greeting = self._greet(conn)
            self._present()
            self._inbox.post(lambda: self._listener.connected(greeting))
            while not (self._over() or self._spoilt):
                self._wait(conn)
                self._carry_out(conn)
        finally:
            self._spoilt = False
            with suppress(psycopg.Error):
                conn.close()

    def _wait(self, conn: psycopg.Connection) -> None:
        """Rest until there is something to do; whether the database is still there is asked now and then."""
        now = time.monotonic()
        due = min((r.not_before for r in tuple(self._requests)), default=_NEVER)
        if due <= now or (self._closing and not self._requests):
            return
        notices.read(conn)
        patience = min(due, self._heard_at + QUIET_AT_MOST) - now
        select.select([self._alarm.fileno(), conn.fileno()], [], [], max(0.0, patience))
        self._alarm.hush()
        notices.read(conn)
        if not self._next() and time.monotonic() >= self._heard_at + QUIET_AT_MOST:
            database.probe(conn)
            self._heard_at = time.monotonic()

    def _next(self) -> _Request | None:
        """Give the request whose turn it is: the first that is urgent, else the first."""
        now = time.monotonic()
        ready = [r for r in tuple(self._requests) if r.not_before <= now]
        return next((r for r in ready if r.urgent), ready[0] if ready else None)

    def _carry_out(self, conn: psycopg.Connection) -> None:
        while not (self._hung_up.is_set() or self._spoilt) and (request := self._next()):
            try:
                answer = request.call(conn)
            except Exception as error:
                if conn.closed and is_passing(error):
                    self._suspect(request, error)
                    raise
                self._come_to_nothing(request, error)
                self._spoilt |= conn.closed
            else:
                self._failures = 0
                self._answered += 1
                self._done(request, request.then, answer)
            self._heard_at = time.monotonic()

    def _come_to_nothing(self, request: _Request, error: Exception) -> None:
        """Decide what becomes of a request that failed while its connection stands."""
        if isinstance(error, DatabaseBusy):
            request.busy += 1
            if request.busy >= request.busy_tries and not request.urgent:
                self._done(request, request.otherwise, error)
                return
        elif isinstance(error, OrchestraError) and not is_passing(error):
            self._done(request, request.otherwise, error)
            return
        elif not is_passing(error):
            self._spoilt = True
            request.strange += 1
            if request.strange >= STRANGE_TRIES:
                self._done(request, request.otherwise, error)
                return
        log.info("a request to the database is put off: %s: %s", type(error).__name__, error)
        self._put_off(request)
        self._say_hindered(request, error)

    def _put_off(self, request: _Request) -> None:
        """Let others go first, for longer each time."""
        request.tries += 1
        request.not_before = time.monotonic() + back_off(request.tries)
        self._requests.remove(request)
        self._requests.append(request)

    def _say_hindered(self, request: _Request, error: Exception) -> None:
        if request.tries > 1:
            times = f"{request.tries} times in a row"
            self._tell_hindrance(f"a request to the database came to nothing {times}: {error}")

    def _tell_hindrance(self, what: str | None) -> None:
        if what != self._hindrance:
            self._hindrance = what
            self._inbox.post(lambda: self._listener.hindered(what))

    def _suspect(self, request: _Request, error: Exception) -> None:
        """Let others go before a request that ended its connection; set it aside where that is all that it ever does.

        That others are answered meanwhile says that it is the request, not the network.
        """
        if not was_ended_by_request(error):
            return
        if not request.fatal:
            request.answered = self._answered
        request.fatal += 1
        if request.fatal >= POISONOUS_TRIES and self._answered > request.answered:
            log.error("a request is set aside that ends each connection: %s", error)
            reason = f"the database connection ended {request.fatal} times in a row: {error}"
            self._done(request, request.otherwise, PoisonousRequest(reason))
        else:
            self._put_off(request)

    def _done(self, request: _Request, reply: Callable[[Any], None], value: Any) -> None:
        self._requests.remove(request)
        if not any(r.tries > 1 for r in tuple(self._requests)):
            self._tell_hindrance(None)
        self._inbox.post(lambda: reply(value))

    def _heard(self, channel: str, payload: str) -> None:
        self._inbox.post(lambda: self._listener.heard(channel, payload))

    def _present(self) -> None:
        if self._absent_since is not None:
            log.info("the database is back after %.0f s", time.monotonic() - self._absent_since)
        self._failures, self._absent_since = 0, None
        self._heard_at = time.monotonic()

    def _explain(self, error: Exception) -> None:
        """Say why there is no connection: once for each absence, to the agent and to the log."""
        if isinstance(error, OrchestraError) and not isinstance(error, DatabaseUnavailable):
            self._inbox.post(lambda: self._listener.refused(error))
            self._failures = max(self._failures, 8)
        elif self._absent_since is None:
            self._absent_since = time.monotonic()
            away = error if isinstance(error, OrchestraError) else DatabaseUnavailable(_LOST)
            if is_passing(error):
                log.warning("%s Jobs run on; outcomes wait.", away)
            else:
                log.error("the database connection failed: %s: %s", type(error).__name__, error)
            self._inbox.post(lambda: self._listener.away(away))
