"""Waiting for a condition instead of for time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LONGEST_PAUSE = 0.2


def wait_until(
    condition: Callable[[], T],
    timeout: float = 15.0,
    describe: Callable[[], object] | str = "",
    *,
    pause: float = 0.02,
) -> T:
    """Call `condition` until its result is true, and return that; an AssertionError counts as not yet.

    After `timeout` seconds the test fails, with the last result or error of the condition and with `describe`: a text,
    or a function that describes the state. Between two calls it pauses for as long as a call took, within `pause` and
    LONGEST_PAUSE seconds: a command that runs again and again takes processors from what is waited for.
    """
    deadline = time.monotonic() + timeout
    while True:
        began = time.monotonic()
        try:
            last: object = (value := condition())
            if value:
                return value
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            described = describe() if callable(describe) else describe
            raise AssertionError(f"not within {timeout:g} s; the last was {last!r}. {described}")
        took = time.monotonic() - began
        time.sleep(max(pause, min(took, LONGEST_PAUSE)))
