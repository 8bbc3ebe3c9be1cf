"""How many jobs of a task may run at a time (`max_running`). Pure.

A job takes a place from its release until it has ended, whether a pilot has claimed it or not. One that waits before a
retry takes none, so that the others go on meanwhile; it takes one again when it can be claimed.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Places:
    """The places of a task: the `limit`, those `taken`, and how many of these are taken by `unclaimed` jobs at most.

    Places are taken under the task's exclusive lock, from exact numbers, except by a report: it gives those that its
    jobs leave to their successors. So reports that run beside each other, and do not see each other, never take more
    places than there were.
    """

    limit: int
    taken: int
    unclaimed: int = 0

    def change(self, releasable: int) -> int:
        """Return how many of the jobs that are `releasable` to release; below zero, how many to withdraw.

        After the limit was lowered, jobs that run go on.
        """
        free = self.limit - self.taken
        return min(free, releasable) if free >= 0 else -min(-free, self.unclaimed)

    def successors(self, left: int) -> int:
        """Return how many jobs to release because `left` others, which are not among the taken ones, have left."""
        return max(0, min(left, self.limit - self.taken))
