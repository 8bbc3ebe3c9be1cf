"""Pilots are woken when work has appeared: never before they can see it, and not more often than is of use."""

from __future__ import annotations

import time
from collections.abc import Callable

from orchestra.domain.states import Queue

AT_MOST_EVERY = 0.05
"""Seconds between two of a queue: who was woken just now would find the next tasks as well."""


class Wakeups:
    """What pilots have still to hear of.

    Work that appears after a wake-up calls for another one, even when both fall into the same round of duties: pilots
    may have looked in between, have found nothing more, and not look again for half a minute. What is due stays so
    until a transaction that carries it has committed.

    Args:
        wake: wakes the pilots of a queue with the transaction that is under way, or at once where there is none.
    """

    def __init__(
        self, wake: Callable[[Queue], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wake, self._clock = wake, clock
        self._woken_at: dict[Queue, float] = {}
        self._under_way: set[Queue] = set()
        self.due: set[Queue] = set()

    def begin(self) -> None:
        """Note that a transaction begins, perhaps once more."""
        self._under_way.clear()

    def committed(self) -> None:
        """Note that it has committed: those that it was to wake have heard of all that is there."""
        self.due -= self._under_way
        self._under_way.clear()

    def appeared(self, *queues: Queue) -> None:
        """Note that there is work which pilots have not heard of."""
        self.due.update(queues)

    def appear(self, *queues: Queue) -> None:
        """Note that work appears with this transaction; pilots are woken with it, unless they were just now."""
        self.appeared(*queues)
        for queue in queues:
            if self._silence_left(queue) <= 0:
                self._send(queue)
                self._under_way.add(queue)

    def flush(self, sleep: Callable[[float], object]) -> None:
        """Outside of a transaction, wake all that have still to hear of work, as soon as they may be woken again."""
        for queue in sorted(self.due):
            if (left := self._silence_left(queue)) > 0:
                sleep(left)
            self._send(queue)
            self.due.discard(queue)

    def _silence_left(self, queue: Queue) -> float:
        return self._woken_at.get(queue, -AT_MOST_EVERY) + AT_MOST_EVERY - self._clock()

    def _send(self, queue: Queue) -> None:
        self._wake(queue)
        self._woken_at[queue] = self._clock()
