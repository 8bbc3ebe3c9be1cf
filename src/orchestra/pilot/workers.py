"""I/O threads: all access to volumes runs here, so that a file system that hangs delays only its own jobs.

Each task has a lane of its own with a few threads, so that a task whose files hang uses up its own threads and no
others. So do the checks of its inputs, and each folder that is probed.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from orchestra.pilot.inbox import Inbox

T = TypeVar("T")

log = logging.getLogger(__name__)

LANE_THREADS = 16
"""Threads of one lane at most."""
IDLE_SECONDS = 10.0
"""Seconds after which an idle thread ends."""

Lane = int | str
"""A task's number, or the name of what is done for one."""
_WorkItem = tuple[Callable[[], Any], Callable[[Any], None], Callable[[Exception], None]]


class Workers:
    """Threads that are started on demand and end with the process, even if their file system never answers.

    A thread serves any lane. A lane with `LANE_THREADS` busy threads waits.
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
        """Run `work` in a thread of a lane. The agent's thread calls `then` with its result, or `otherwise`."""
        with self._ready:
            self._items.setdefault(lane, deque()).append((work, then, otherwise))
            if self._idle + self._starting < self._startable():
                self._starting += 1
                threading.Thread(target=self._run, name="pilot-io", daemon=True).start()
            else:
                self._ready.notify()

    def _startable(self) -> int:
        """Count the work items that a thread may start now."""
        return sum(
            min(len(queue), LANE_THREADS - self._busy[lane]) for lane, queue in self._items.items()
        )

    def _run(self) -> None:
        done: Lane | None = None
        while chosen := self._next(done):
            done, item = chosen
            self._do(*item)

    def _next(self, done: Lane | None) -> tuple[Lane, _WorkItem] | None:
        """Return a work item of a lane that may have one more thread; None after a while without any.

        `done` is the lane of the thread's last work item. It is left here, under the lock, so that this thread always
        counts as busy or idle; otherwise `submit` would start one thread too many.
        """
        with self._ready:
            self._leave_lane(done)
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

    def _leave_lane(self, done: Lane | None) -> None:
        if done is None:
            self._starting -= 1
            return
        self._busy[done] -= 1
        if not self._busy[done]:
            del self._busy[done]

    def _open_lane(self) -> Lane | None:
        return next((lane for lane in self._items if self._busy[lane] < LANE_THREADS), None)

    def _do(
        self,
        work: Callable[[], T],
        then: Callable[[T], None],
        otherwise: Callable[[Exception], None],
    ) -> None:
        try:
            result = work()
        except Exception as error:
            # Work items turn foreseen errors into values; this one was not foreseen.
            log.exception("an I/O thread failed")
            self._inbox.post(partial(otherwise, error))
        else:
            self._inbox.post(partial(then, result))
