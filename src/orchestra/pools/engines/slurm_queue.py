"""Slurm's queue, read once for all who ask at about the same time: sites object to many calls of squeue."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf


class SlurmQueue:
    """The jobs of this account, as `squeue` prints them. Several threads may ask.

    Args:
        ask: calls `squeue`.
        lasts: seconds for which an answer is good enough for a question that does not need a new one.
        clock: the time in seconds.
    """

    def __init__(self, ask: Callable[[], str], lasts: float, clock: Callable[[], float]) -> None:
        self._ask, self._lasts, self._clock = ask, lasts, clock
        self._lock = threading.Lock()
        self._answer, self._asked_at = "", -inf

    def read(self, *, again: bool) -> str:
        """Return the answer; with `again` one to a question that is asked now.

        Raises:
            EngineSilent: there is none.
        """
        with self._lock:
            now = self._clock()
            if again or now - self._asked_at >= self._lasts:
                self._asked_at = -inf  # an answer that follows a failure is a new one
                self._answer = self._ask()
                self._asked_at = now
            return self._answer
