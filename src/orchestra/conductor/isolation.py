"""What goes wrong in one task or duty stays there: it is left alone for a while, longer each time, and told."""

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

PAUSE_FIRST, PAUSE_AT_MOST = 1.0, 60.0
"""Seconds for which something is left alone that has failed."""
FORGOTTEN_AFTER = 7200.0
"""What is not tried again for so long is not there any more: the slowest of duties come once in an hour."""
WHY_AT_MOST = 500

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Trouble:
    """Something that has failed so many times in a row: why, and when it is tried again, by the monotonic clock."""

    why: str
    times: int = 0
    again_at: float = 0.0


class Isolation:
    """What a conductor remembers of that which has failed, from one term to the next."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._troubles: dict[int | str, Trouble] = {}

    def attempt(self, conn: psycopg.Connection, what: int | str, call: Callable[[], T]) -> T | None:
        """Do something, unless it has failed just now; gives None where it was not done, or failed.

        `what` is the number of the task that it is for, or the name of a duty.

        Raises:
            Superseded: somebody else conducts.
            DatabaseUnavailable: the database is away, or in no state for anything.
        """
        trouble = self._troubles.get(what)
        if trouble and self._clock() < trouble.again_at:
            return None
        try:
            result = call()
        except Exception as error:
            if not isinstance(error, Superseded):
                self.note(what, error)
            if conn.closed or isinstance(error, Superseded) or _is_about_server(error):
                raise
            return None
        if self._troubles.pop(what, None):
            log.info("conductor: %s goes on", named(what))
        return result

    def note(self, what: int | str, error: Exception) -> None:
        """Remember that something has failed."""
        trouble = self._troubles.setdefault(what, Trouble(""))
        trouble.why = _in_words(error)
        trouble.times += 1
        pause = min(PAUSE_FIRST * 2.0 ** min(trouble.times - 1, 30), PAUSE_AT_MOST)
        trouble.again_at = self._clock() + pause
        unexpected = not isinstance(error, DatabaseUnavailable) and trouble.times == 1
        log.error(
            "conductor: %s: %s", named(what), trouble.why, exc_info=error if unexpected else None
        )

    @property
    def lasting(self) -> tuple[Stuck, ...]:
        """Give what does not go on, and why; what failed once is tried again before it is told."""
        self._forget()
        return tuple(Stuck(what, t.why) for what, t in self._troubles.items() if t.times > 1)

    def _forget(self) -> None:
        """Forget what nobody has tried again: it is not there any more."""
        oldest = self._clock() - FORGOTTEN_AFTER
        for what in [w for w, trouble in self._troubles.items() if trouble.again_at < oldest]:
            del self._troubles[what]


def _is_about_server(error: Exception) -> bool:
    """Whether everything else would fail as well."""
    return isinstance(error, DatabaseUnavailable) and not isinstance(error, DatabaseBusy)


def _in_words(error: Exception) -> str:
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    return human.one_line(first, WHY_AT_MOST).rstrip(".")
