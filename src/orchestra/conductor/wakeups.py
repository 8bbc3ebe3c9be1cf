"""Wake-ups of pilots when jobs become claimable: never before pilots can see the jobs, and rate-limited."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestra.domain.states import Queue

INTERVAL = 0.05
"""Seconds between two wake-ups of a queue: a pilot that has just been woken finds the next jobs as well."""


class Wakeups:
    """The queues whose pilots must still be woken.

    Work that appears after a wake-up needs another one, even in the same round of duties: pilots may have searched in
    between and found nothing, and would not search again for half a minute. A queue stays due until a transaction that
    carries its wake-up has committed.

    Args:
        wake: wakes the pilots of a queue: with the open transaction, or at once if there is none.
    """

    def __init__(
        self, wake: Callable[[Queue], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wake, self._clock = wake, clock
        self._woken_at: dict[Queue, float] = {}
        self._uncommitted: set[Queue] = set()
        self.due: set[Queue] = set()

    def begin(self) -> None:
        """Note that a transaction begins, or is repeated."""
        self._uncommitted.clear()

    def committed(self) -> None:
        """Note that the transaction has committed: its wake-ups cover all work that exists by now."""
        self.due -= self._uncommitted
        self._uncommitted.clear()

    def add(self, *queues: Queue) -> None:
        """Note that there is work which pilots have not been woken for."""
        self.due.update(queues)

    def wake_on_commit(self, *queues: Queue) -> None:
        """Note that work appears with this transaction; wake the pilots with it, unless they were woken just now."""
        self.add(*queues)
        for queue in queues:
            if self._seconds_left(queue) <= 0:
                self._send(queue)
                self._uncommitted.add(queue)

    def flush(self, sleep: Callable[[float], object]) -> None:
        """Wake the pilots of all due queues, as soon as the interval allows. Call it outside a transaction."""
        for queue in sorted(self.due):
            if (left := self._seconds_left(queue)) > 0:
                sleep(left)
            self._send(queue)
            self.due.discard(queue)

    def _seconds_left(self, queue: Queue) -> float:
        return self._woken_at.get(queue, -INTERVAL) + INTERVAL - self._clock()

    def _send(self, queue: Queue) -> None:
        self._wake(queue)
        self._woken_at[queue] = self._clock()
