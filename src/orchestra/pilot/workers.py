"""I/O threads: whatever touches a volume runs here, so that a file system that hangs stalls its own jobs alone."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from orchestra.pilot.courier import Inbox

T = TypeVar("T")

log = logging.getLogger(__name__)

AT_MOST = 64

_Errand = tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]]


class Workers:
    """Threads that are made as they are needed, and end with the process even if their file system never answers."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._errands: deque[_Errand] = deque()
        self._ready = threading.Condition()
        self._idle = 0
        self._threads = 0

    def submit(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None:
        """Have `work` done in some thread.

        In the agent's thread, `then` gets what it gave, or `otherwise` what it raised.
        """
        with self._ready:
            self._errands.append((work, then, otherwise))
            if self._idle < len(self._errands) and self._threads < AT_MOST:
                self._threads += 1
                threading.Thread(target=self._run, name="pilot-io", daemon=True).start()
            else:
                self._ready.notify()

    def _run(self) -> None:
        while True:
            with self._ready:
                self._idle += 1
                while not self._errands:
                    self._ready.wait()
                self._idle -= 1
                errand = self._errands.popleft()
            self._do(*errand)

    def _do(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None:
        try:
            result = work()
        except Exception as error:
            # What is given here turns every trouble that it knows into a value; this is one that it does not know.
            log.exception("an I/O thread failed")
            self._inbox.post(partial(otherwise, error))
        else:
            self._inbox.post(partial(then, result))
