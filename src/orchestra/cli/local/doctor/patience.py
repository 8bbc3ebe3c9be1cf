"""Looks that may hang (a volume, a server, a program): each in a thread of its own, and none is waited for for ever."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from orchestra.cli.local.doctor.finding import Trouble, trouble_of
from orchestra.domain import human
from orchestra.domain.errors import OrchestraError

T = TypeVar("T")


class Look(Generic[T]):
    """A look that has begun."""

    def __init__(self, what: str, work: Callable[[], T], *, patience: float) -> None:
        """`what` is named where it hangs; `patience` is in seconds from now."""
        self._what, self._work = what, work
        self._patience, self._deadline = patience, time.monotonic() + patience
        self._seen: T | Trouble | None = None
        # Nobody waits for it when the program ends: a thread in a hung system call cannot be ended.
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self) -> T | Trouble:
        """Give what was seen, or why nothing was."""
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        if self._seen is None:
            span = human.duration(self._patience)
            return Trouble(
                f"{self._what} did not answer within {span}.",
                "Nothing waits for it here; jobs that need it do.",
            )
        return self._seen

    def _run(self) -> None:
        try:
            self._seen = self._work()
        except OrchestraError as error:
            self._seen = trouble_of(error)
        except Exception as error:  # noqa: BLE001 - a doctor that dies of what it finds is of no use
            self._seen = Trouble(
                f"{self._what} cannot be looked at: {type(error).__name__}: {error}"
            )
