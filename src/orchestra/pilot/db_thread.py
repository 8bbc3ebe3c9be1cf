"""The database thread: it owns an agent's one database connection, so that the agent never waits for the database.

The agent submits requests. The thread runs them in order, urgent ones first, retries each until it is answered, and
posts the answers to the agent's inbox. A request whose answer is lost runs twice, so requests must be repeatable.

A request that fails lets the others go first, for longer each time. An exception that is not an `OrchestraError` closes
the connection, because the next answer might belong to another request; it never ends the thread.
"""

from __future__ import annotations

import logging
import random
import select
import threading
import time
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
from orchestra.pilot.inbox import Inbox, Wakeup
from orchestra.store.driver import channels, database

T = TypeVar("T")

log = logging.getLogger(__name__)

MAX_BACK_OFF = 10.0
"""Seconds between two attempts to connect, at most."""
PROBE_AFTER = 5.0
"""Seconds without traffic after which the connection is probed."""
BUSY_TRIES = 3
"""Timeouts after which a request is returned to the caller."""
UNEXPECTED_TRIES = 3
"""Connections on which a request must raise an unexpected error before the error is returned to the caller."""
POISONOUS_TRIES = 8
"""Connections that a request may end before it is set aside, if other requests are answered meanwhile."""

_NEVER = float("inf")
_LOST = "the connection to the database was lost."

Connect = Callable[[], psycopg.Connection]


@dataclass(slots=True, eq=False)
class _Request:
    """A request and its failures so far.

    Args:
        not_before: when it may be retried, by the monotonic clock.
        failures: all failures; `busy` of them were timeouts, `unexpected` raised something else than an
            `OrchestraError`, `fatal` ended the connection.
        answered: how many requests had been answered before the first fatal failure.
    """

    call: Callable[[psycopg.Connection], Any]
    then: Callable[[Any], None]
    otherwise: Callable[[Exception], None]
    urgent: bool
    busy_tries: int
    not_before: float = 0.0
    failures: int = 0
    busy: int = 0
    unexpected: int = 0
    fatal: int = 0
    answered: int = 0


@dataclass(frozen=True, slots=True)
class DatabaseCallbacks:
    """What the database thread reports besides answers. All are called in the agent's thread.

    Args:
        connected: a connection is up, with the result of `attach`.
        rejected: the database answers and rejects this agent; retried later.
        unavailable: the database cannot be reached; called once for each outage.
        notified: a notification arrived: channel and payload.
        delayed: why requests wait although the database answers; None when they no longer do.
    """

    connected: Callable[[Any], None]
    rejected: Callable[[OrchestraError], None]
    unavailable: Callable[[OrchestraError], None]
    notified: Callable[[str, str], None]
    delayed: Callable[[str | None], None] = lambda _: None


def back_off(failures: int) -> float:
    """Seconds to wait after so many failures in a row: doubling, capped, with jitter."""
    longest = min(MAX_BACK_OFF, 0.1 * 2 ** min(failures, 10))
    return random.uniform(longest / 2, longest)  # noqa: S311 - so that pilots do not reconnect all at once


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed later, because the server caused the error, not the request."""
    victims = (errors.DeadlockDetected, errors.SerializationFailure)
    return isinstance(error, (DatabaseUnavailable, psycopg.OperationalError, *victims))


def may_be_poisonous(error: Exception) -> bool:
    """Whether the request may have ended the connection: no SQLSTATE, hence neither a shutdown nor an administrator."""
    if isinstance(error, DatabaseSilent | AnswerGarbled):
        return True
    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
    return isinstance(cause, psycopg.OperationalError) and cause.sqlstate is None


class DatabaseThread(threading.Thread):
    """Owns the connection, from `start` to `stop`."""

    def __init__(
        self,
        connect: Connect,
        attach: Callable[[psycopg.Connection], Any],
        inbox: Inbox,
        callbacks: DatabaseCallbacks,
    ) -> None:
        """Prepare the thread.

        Args:
            attach: the first call on every new connection; its result is passed to `callbacks.connected`.
        """
        super().__init__(name="database", daemon=True)
        self._connect, self._attach = connect, attach
        self._inbox, self._callbacks = inbox, callbacks
        self._requests: list[_Request] = []
        self._wakeup = Wakeup()
        self._closing = False
        self._aborted = threading.Event()
        self._failures = self._answered = 0
        self._unavailable_since: float | None = None
        self._last_traffic = 0.0
        self._must_reconnect = False
        self._delay: str | None = None

    def submit(
        self,
        call: Callable[[psycopg.Connection], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
        *,
        urgent: bool = False,
        busy_tries: int = BUSY_TRIES,
    ) -> None:
        """Queue a request. The agent's thread calls `then` with its answer, or `otherwise` with its error.

        An urgent request goes before all others, and is retried for as long as the database is busy: leases depend on
        it. Others fail after `busy_tries` timeouts.
        """
        self._requests.append(_Request(call, then, otherwise, urgent, busy_tries))
        self._wakeup.set()

    def reconnect(self) -> None:
        """Continue over a new connection, because data on this one may have been altered."""
        self._must_reconnect = True
        self._wakeup.set()

    def stop(self, timeout: float) -> None:
        """Run what is queued, disconnect and end; abort after `timeout` seconds."""
        self._closing = True
        self._wakeup.set()
        self.join(timeout)
        self._aborted.set()  # it waits for an unavailable database
        self.join(0.2)
        if not self.is_alive():
            self._wakeup.close()

    # In this thread

    def run(self) -> None:
        while not self._is_over():
            try:
                self._serve_one_connection()
            except Exception as error:  # noqa: BLE001 - the agent must not lose this thread, whatever the error
                self._report_disconnect(error)
                self._failures += 1
                self._aborted.wait(back_off(self._failures))

    def _is_over(self) -> bool:
        return self._aborted.is_set() or (self._closing and not self._requests)

    def _serve_one_connection(self) -> None:
        conn = self._connect()
        try:
            channels.listen(conn, self._notified)
            attached = self._attach(conn)
            self._note_connected()
            self._inbox.post(lambda: self._callbacks.connected(attached))
            while not (self._is_over() or self._must_reconnect):
                self._wait(conn)
                self._run_requests(conn)
        finally:
            self._must_reconnect = False
            with suppress(psycopg.Error):
                conn.close()

    def _wait(self, conn: psycopg.Connection) -> None:
        """Wait until a request is due; probe an idle connection now and then."""
        now = time.monotonic()
        due = min((r.not_before for r in tuple(self._requests)), default=_NEVER)
        if due <= now or (self._closing and not self._requests):
            return
        channels.read(conn)
        timeout = min(due, self._last_traffic + PROBE_AFTER) - now
        select.select([self._wakeup.fileno(), conn.fileno()], [], [], max(0.0, timeout))
        self._wakeup.clear()
        channels.read(conn)
        if not self._next() and time.monotonic() >= self._last_traffic + PROBE_AFTER:
            database.probe(conn)
            self._last_traffic = time.monotonic()

    def _next(self) -> _Request | None:
        """The next request that is due: the first urgent one, else the first."""
        now = time.monotonic()
        ready = [r for r in tuple(self._requests) if r.not_before <= now]
        return next((r for r in ready if r.urgent), ready[0] if ready else None)

    def _run_requests(self, conn: psycopg.Connection) -> None:
        while not (self._aborted.is_set() or self._must_reconnect) and (request := self._next()):
            try:
                answer = request.call(conn)
            except Exception as error:
                if conn.closed and is_transient(error):
                    self._request_ended_connection(request, error)
                    raise
                self._request_failed(request, error)
                self._must_reconnect |= conn.closed
            else:
                self._failures = 0
                self._answered += 1
                self._finish(request, request.then, answer)
            self._last_traffic = time.monotonic()

    def _request_failed(self, request: _Request, error: Exception) -> None:
        """Return the error of a request to the caller, or retry later."""
        if isinstance(error, DatabaseBusy):
            request.busy += 1
            if request.busy >= request.busy_tries and not request.urgent:
                self._finish(request, request.otherwise, error)
                return
        elif isinstance(error, OrchestraError) and not is_transient(error):
            self._finish(request, request.otherwise, error)
            return
        elif not is_transient(error):
            self._must_reconnect = True
            request.unexpected += 1
            if request.unexpected >= UNEXPECTED_TRIES:
                self._finish(request, request.otherwise, error)
                return
        log.info("retrying a database request later: %s: %s", type(error).__name__, error)
        self._retry_later(request)
        if request.failures > 1:
            times = f"{request.failures} times in a row"
            self._report_delay(f"a request to the database failed {times}: {error}")

    def _retry_later(self, request: _Request) -> None:
        """Let other requests go first, for longer each time."""
        request.failures += 1
        request.not_before = time.monotonic() + back_off(request.failures)
        self._requests.remove(request)
        self._requests.append(request)

    def _request_ended_connection(self, request: _Request, error: Exception) -> None:
        """Retry a request that ended its connection, or set it aside when it always does.

        Only if other requests are answered meanwhile is the request to blame and not the network.
        """
        if not may_be_poisonous(error):
            return
        if not request.fatal:
            request.answered = self._answered
        request.fatal += 1
        if request.fatal >= POISONOUS_TRIES and self._answered > request.answered:
            log.error("setting aside a request that ends every connection: %s", error)
            reason = f"the database connection ended {request.fatal} times in a row: {error}"
            self._finish(request, request.otherwise, PoisonousRequest(reason))
        else:
            self._retry_later(request)

    def _finish(self, request: _Request, reply: Callable[[Any], None], value: Any) -> None:
        self._requests.remove(request)
        if not any(r.failures > 1 for r in tuple(self._requests)):
            self._report_delay(None)
        self._inbox.post(lambda: reply(value))

    def _report_delay(self, why: str | None) -> None:
        if why != self._delay:
            self._delay = why
            self._inbox.post(lambda: self._callbacks.delayed(why))

    def _notified(self, channel: str, payload: str) -> None:
        self._inbox.post(lambda: self._callbacks.notified(channel, payload))

    def _note_connected(self) -> None:
        if self._unavailable_since is not None:
            seconds = time.monotonic() - self._unavailable_since
            log.info("the database is available again after %.0f s", seconds)
        self._failures, self._unavailable_since = 0, None
        self._last_traffic = time.monotonic()

    def _report_disconnect(self, error: Exception) -> None:
        """Report why there is no connection, once for each outage, to the agent and to the log."""
        if isinstance(error, OrchestraError) and not isinstance(error, DatabaseUnavailable):
            self._inbox.post(lambda: self._callbacks.rejected(error))
            self._failures = max(self._failures, 8)
        elif self._unavailable_since is None:
            self._unavailable_since = time.monotonic()
            reason = error if isinstance(error, OrchestraError) else DatabaseUnavailable(_LOST)
            if is_transient(error):
                log.warning("%s Jobs keep running; outcomes wait.", reason)
            else:
                log.error("the database connection failed: %s: %s", type(error).__name__, error)
            self._inbox.post(lambda: self._callbacks.unavailable(reason))
