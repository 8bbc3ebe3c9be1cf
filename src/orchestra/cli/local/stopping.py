"""How a process that runs until it is stopped hears of that."""

from __future__ import annotations

import signal
import threading


def stopped_by_signals() -> threading.Event:
    """Return an event that SIGTERM, Ctrl-C and the end of the session set; the last not under `nohup`."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: stop.set())
    return stop
