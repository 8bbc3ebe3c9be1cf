"""What one claim may take of the jobs of users who have limits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from sys import maxsize

import psycopg

from orchestra.domain.allowance import Allowance
from orchestra.domain.resources import Request
from orchestra.domain.states import Queue
from orchestra.store.tasks import locks
from orchestra.store.work import limits


@dataclass(slots=True)
class OwnerLimits:
    """The limits of the owners of tasks, counted when the first job of one of theirs could be claimed.

    A claim locks an owner before it counts, so that the claims of two nodes do not both take what is left. An owner to
    whom nothing is left is not locked.

    Args:
        owners: those who have limits.
        reached: a job was passed over because of them.
    """

    owners: Collection[int]
    locks: locks.ClaimLocks
    reached: bool = False
    _left: dict[int, Allowance] = field(default_factory=dict)
    _locked: set[int] = field(default_factory=set)

    def count(self, conn: psycopg.Connection, owner: int, request: Request) -> int | None:
        """Return how many jobs of an owner may be claimed; None if that would have to wait for another claim."""
        if owner not in self.owners:
            return maxsize
        is_open = owner not in self._locked and self._has_left(owner, request)
        if is_open and not self._lock(conn, owner, request):
            return None
        count = self._left[owner].count(request)
        self.reached = self.reached or not count
        return count

    def take(self, owner: int, request: Request, jobs: int) -> None:
        """Note that jobs were claimed."""
        if owner in self._left:
            self._left[owner] = self._left[owner].after(request, jobs)

    def used_up(self, queue: Queue) -> list[int]:
        """Return the owners of whom no job of a queue may be claimed, as far as is known."""
        return [owner for owner, left in self._left.items() if left.is_used_up(queue)]

    def _has_left(self, owner: int, request: Request) -> bool:
        return owner not in self._left or self._left[owner].count(request) > 0

    def _lock(self, conn: psycopg.Connection, owner: int, request: Request) -> bool:
        """Count what is left to an owner, locked unless it is too little; False if the lock cannot be had."""
        if self.locks.try_owner(conn, owner):
            self._locked.add(owner)
            self._left[owner] = limits.left_to(conn, owner)
            return True
        self._left[owner] = limits.left_to(conn, owner)
        if not self._has_left(owner, request):
            return True
        if not self.locks.wait_for_owner(conn, owner):
            return False
        self._locked.add(owner)
        self._left[owner] = limits.left_to(conn, owner)
        return True
