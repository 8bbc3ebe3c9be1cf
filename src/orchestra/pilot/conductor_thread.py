"""The thread of a pilot that conducts: a conductor that ends too soon begins again, for nobody else may be there."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from orchestra.domain import troubles
from orchestra.domain.troubles import Trouble
from orchestra.pilot.options import Conductor

AGAIN_AFTER, AGAIN_AT_MOST = 1.0, 60.0
"""Seconds; twice as long each time."""

log = logging.getLogger(__name__)


def run_conductor(
    conductor: Conductor,
    stop: threading.Event,
    say: Callable[[Trouble | None], None],
    *,
    pause: float = AGAIN_AFTER,
) -> None:
    """Conduct until `stop` is set; `say` is told when and why the conductor has failed."""
    while not stop.is_set():
        try:
            conductor(stop, say)
            why = "it ended by itself"
        except BaseException as error:
            log.exception("the conductor failed")
            why = str(error) or type(error).__name__
        if not stop.is_set():
            say(troubles.conductor_failed(why, again=True))
        stop.wait(pause)
        pause = min(pause * 2, AGAIN_AT_MOST)
