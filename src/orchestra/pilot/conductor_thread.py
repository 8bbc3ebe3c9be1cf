"""The conductor (the scheduler) as a thread of a pilot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from orchestra.domain import troubles
from orchestra.domain.troubles import Trouble
from orchestra.pilot.options import Conductor

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds before a conductor that has ended is restarted; the pause doubles each time."""
STOP_SECONDS = 4.0
"""Seconds in which a stopped conductor may release its term."""

log = logging.getLogger(__name__)


class ConductorThread:
    """Runs a conductor until `stop`."""

    def __init__(self, conductor: Conductor, report: Callable[[Trouble | None], None]) -> None:
        """`report` is called in this thread, with a trouble or None when there is none any more."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=run_conductor,
            args=(conductor, self._stopped, report),
            name="conductor",
            daemon=True,
        )
        self._thread.start()

    def request_stop(self) -> None:
        """Stop the conductor without waiting for it."""
        self._stopped.set()

    def join(self) -> None:
        """Wait until the conductor has released its term, for a few seconds at most."""
        self._thread.join(STOP_SECONDS)


def run_conductor(
    conductor: Conductor,
    stop: threading.Event,
    report: Callable[[Trouble | None], None],
    *,
    pause: float = FIRST_PAUSE,
) -> None:
    """Run a conductor until `stop` is set. One that ends early is restarted: there may be no other conductor."""
    while not stop.is_set():
        try:
            conductor(stop, report)
            why = "it ended by itself"
        except BaseException as error:
            log.exception("the conductor failed")
            why = str(error) or type(error).__name__
        if not stop.is_set():
            report(troubles.conductor_failed(why, again=True))
        stop.wait(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
