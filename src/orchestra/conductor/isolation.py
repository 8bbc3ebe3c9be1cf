"""Failure isolation: a task or duty that fails is paused, longer each time, and does not stop the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import DatabaseBusy, DatabaseUnavailable, Superseded
from orchestra.domain.troubles import Stuck, named

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before the first retry, and at most."""
FORGET_AFTER = 7200.0
"""Seconds without a retry after which a failure is obsolete. The slowest duties run once an hour."""
WHY_AT_MOST = 500

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Failure:
    """Consecutive failures of one task or duty; `retry_at` is by the monotonic clock."""

    why: str
    times: int = 0
    retry_at: float = 0.0


class Isolation:
    """Remembers what has failed, also from one term to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[int | str, Failure] = {}

    def attempt(self, conn: psycopg.Connection, what: int | str, call: Callable[[], T]) -> T | None:
        """Call `call`, unless `what` is paused. Returns None if it is paused or has failed.

        `what` is the id of the task that the call is for, or the name of a duty.

        Raises:
            Superseded: another process is the conductor.
            DatabaseUnavailable: the database cannot be reached, or can execute nothing.
        """
        failure = self._failures.get(what)
        if failure and self._clock() < failure.retry_at:
            return None
        try:
            result = call()
        except Exception as error:
            if not isinstance(error, Superseded):
                self.note(what, error)
            if conn.closed or isinstance(error, Superseded) or _is_about_server(error):
                raise
            return None
        if self._failures.pop(what, None):
            log.info("conductor: %s has recovered", named(what))
        return result

    def note(self, what: int | str, error: Exception) -> None:
        """Record a failure and log it, with a traceback if it is unexpected and new."""
        failure = self._failures.setdefault(what, Failure(""))
        failure.why = _first_line(error)
        failure.times += 1
        pause = min(FIRST_PAUSE * 2.0 ** min(failure.times - 1, 30), LONGEST_PAUSE)
        failure.retry_at = self._clock() + pause
        unexpected = not isinstance(error, DatabaseUnavailable) and failure.times == 1
        log.error(
            "conductor: %s: %s", named(what), failure.why, exc_info=error if unexpected else None
        )

    @property
    def stuck(self) -> tuple[Stuck, ...]:
        """The tasks and duties that have failed more than once in a row. A first failure is retried silently."""
        self._forget_obsolete()
        return tuple(
            Stuck(what, each.why) for what, each in self._failures.items() if each.times > 1
        )

    def _forget_obsolete(self) -> None:
        oldest = self._clock() - FORGET_AFTER
        for what in [what for what, each in self._failures.items() if each.retry_at < oldest]:
            del self._failures[what]


def _is_about_server(error: Exception) -> bool:
    """Whether every other call would fail as well."""
    return isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseBusy)


def _first_line(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    return human.one_line(first, WHY_AT_MOST).rstrip(".")
