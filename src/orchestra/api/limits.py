"""A limit of failed attempts to sign in, by what they have in common: the address, or the beginning of the token."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from orchestra.domain.errors import TooManyAttempts

MOST = 10
WITHIN = 60.0
"""Failures, and the seconds within which so many are too many."""
_KEYS = 10_000
"""Keys that are remembered; of more, the oldest are forgotten."""


class Failures:
    """Counts failures. Success is never limited, so nobody locks out others who use the same address."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._times: OrderedDict[str, list[float]] = OrderedDict()

    def note(self, *keys: str) -> None:
        """Note a failure.

        Raises:
            TooManyAttempts: there were too many with one of the keys; `seconds` says when the next is possible.
        """
        with self._lock:
            now = self._clock()
            wait = max(self._wait(key, now) for key in keys)
            if wait <= 0:
                for key in keys:
                    self._times.setdefault(key, []).append(now)
                    self._times.move_to_end(key)
                while len(self._times) > _KEYS:
                    self._times.popitem(last=False)
                return
        raise TooManyAttempts(
            "there were too many failed attempts to sign in.",
            hint=f"Try again in {ceil(wait)} s.",
            seconds=ceil(wait),
        )

    def _wait(self, key: str, now: float) -> float:
        times = [each for each in self._times.get(key, ()) if each > now - WITHIN]
        if key in self._times:
            self._times[key] = times
        return times[0] + WITHIN - now if len(times) >= MOST else 0.0
