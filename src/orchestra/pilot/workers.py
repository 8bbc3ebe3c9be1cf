"""I/O threads: whatever touches a volume runs here, so that a file system that hangs stalls its own jobs alone.

Each task has a lane of its own with a few threads, so that one whose files hang uses up its own and no others; so have
the looks at its inputs after the end, and each folder that is asked whether it answers.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from orchestra.pilot.db_thread import Inbox

T = TypeVar("T")

log = logging.getLogger(__name__)

AT_MOST = 16
"""Threads of one lane."""
IDLE_SECONDS = 10.0
"""After which a thread with nothing to do ends."""

Lane = int | str
"""A task's number, or the name of what is done for one."""
_WorkItem = tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]]


class Workers:
    """Threads that are made as they are needed, and end with the process even if their file system never answers.

    A thread serves any lane; a lane that keeps `AT_MOST` of them busy waits.
    """

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._items: dict[Lane, deque[_WorkItem]] = {}
        self._busy = Counter[Lane]()
        self._ready = threading.Condition()
        self._idle = 0
        self._starting = 0

    def submit(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
        *,
        lane: Lane,
    ) -> None:
        """Have `work` done in some thread of a lane.

        In the agent's thread, `then` gets what it gave, or `otherwise` what it raised.
        """
        with self._ready:
            self._items.setdefault(lane, deque()).append((work, then, otherwise))
            if self._idle + self._starting < self._waiting():
                self._starting += 1
                threading.Thread(target=self._run, name="pilot-io", daemon=True).start()
            else:
                self._ready.notify()

    def _waiting(self) -> int:
        """Count the errands that a thread may take up now."""
        return sum(
            min(len(queue), AT_MOST - self._busy[lane]) for lane, queue in self._items.items()
        )

    def _run(self) -> None:
        done: Lane | None = None
        while chosen := self._next(done):
            done, item = chosen
            self._do(*item)

    def _next(self, done: Lane | None) -> tuple[Lane, _WorkItem] | None:
        """Give an errand of a lane that may have one more thread; None after a while without any.

        `done` is the lane of the thread's last errand. It is given back here, so that at no moment this thread counts
        neither as busy nor as idle, which would have one more made.
        """
        with self._ready:
            self._arrive(done)
            while (lane := self._open_lane()) is None:
                self._idle += 1
                woken = self._ready.wait(IDLE_SECONDS)
                self._idle -= 1
                if not woken and self._open_lane() is None:
                    return None
            queue = self._items.pop(lane)
            item = queue.popleft()
            if queue:
                self._items[lane] = queue  # at the end: lanes take turns
            self._busy[lane] += 1
            return lane, item

    def _arrive(self, done: Lane | None) -> None:
        if done is None:
            self._starting -= 1
            return
        self._busy[done] -= 1
        if not self._busy[done]:
            del self._busy[done]

    def _open_lane(self) -> Lane | None:
        return next((lane for lane in self._items if self._busy[lane] < AT_MOST), None)

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
