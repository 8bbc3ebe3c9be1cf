"""Probes of what may hang (a volume, a server, a program): each runs in a thread of its own, with a timeout."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from orchestra.cli.local.doctor.finding import Failure, failure_of
from orchestra.domain import human
from orchestra.domain.errors import OrchestraError

T = TypeVar("T")


class Probe(Generic[T]):
    """A function that runs in the background."""

    def __init__(self, what: str, work: Callable[[], T], *, timeout: float) -> None:
        """`what` is named if it hangs; the `timeout`, in seconds, begins now."""
        self._what, self._work = what, work
        self._timeout, self._deadline = timeout, time.monotonic() + timeout
        self._seen: T | Failure | None = None
        # A daemon: a thread in a system call that hangs cannot be ended, and must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> T | Failure:
        """Return the function's result, or why there is none."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._seen is None:
            span = human.duration(self._timeout)
            return Failure(
                f"{self._what} did not answer within {span}.",
                "The check was abandoned; jobs that need it wait.",
            )
        return self._seen

    def _run(self) -> None:
        try:
            self._seen = self._work()
        except OrchestraError as error:
            self._seen = failure_of(error)
        except Exception as error:  # noqa: BLE001 - the other checks must go on
            self._seen = Failure(f"{self._what} cannot be checked: {type(error).__name__}: {error}")
