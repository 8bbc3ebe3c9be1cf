"""Locks of tasks, held until the transaction ends. They are granted in order: a command waits only for earlier holders.

Read a task after locking it, not before. Lock tasks in ascending order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from orchestra.store.driver.sql import load

SQL = load("tasks/locks")


def exclude(conn: psycopg.Connection, task: int) -> None:
    """Wait for transactions that claim, start, end or release jobs of a task, or change it, and block new ones."""
    conn.execute(SQL.exclude, {"task": task})


def share(conn: psycopg.Connection, tasks: Collection[int]) -> None:
    """Block commands that change the tasks."""
    conn.execute(SQL.share, {"tasks": sorted(set(tasks))})


def try_share(conn: psycopg.Connection, tasks: Collection[int]) -> list[int]:
    """Block commands that change the tasks, and return those for which this would not have to wait."""
    with conn.cursor() as cursor:
        rows = cursor.execute(SQL.try_share, {"tasks": sorted(set(tasks))}).fetchall()
    return [task for (task,) in rows]


@dataclass(frozen=True, slots=True)
class FirstClaimable:
    """The index of the first claimable job of a task in each turn, or None.

    A claim that starts there misses jobs that became claimable since; the next claim finds them. `passed` is the
    number of indexes that were skipped, from a claim cursor on.
    """

    first_in_line: int | None
    in_order: int | None
    passed: int

    @property
    def has_jobs(self) -> bool:
        return self.first_in_line is not None or self.in_order is not None


@dataclass(slots=True)
class ClaimLocks:
    """The locks of the tasks that one claim shares, up to the `highest`, and of owners that it locks.

    A claim finds its tasks in the order of their ranks. It does not wait for a task below one that it shares already,
    nor for an owner once it has any lock, because that could be a deadlock.
    """

    highest: int = -1
    has_owner: bool = False

    def try_owner(self, conn: psycopg.Connection, owner: int) -> bool:
        """Lock an owner against other claims; False if this would have to wait."""
        with conn.cursor() as cursor:
            row = cursor.execute(SQL.try_owner, {"owner": owner}).fetchone()
        assert row
        self.has_owner = self.has_owner or row[0]
        return bool(row[0])

    def wait_for_owner(self, conn: psycopg.Connection, owner: int) -> bool:
        """Lock an owner against other claims; False if this claim has locks already."""
        if self.has_owner or self.highest >= 0:
            return False
        conn.execute(SQL.lock_owner, {"owner": owner})
        self.has_owner = True
        return True

    def share(self, conn: psycopg.Connection, task: int) -> tuple[FirstClaimable, bool]:
        """Share a task if it has claimable jobs; False if it has none, or if this would have to wait."""
        params = {"task": task, "wait": task >= self.highest}
        with conn.cursor() as cursor:
            row = cursor.execute(SQL.share_to_claim, params).fetchone()
        assert row
        *first, shared = row
        if shared:
            self.highest = max(self.highest, task)
        return FirstClaimable(*first), shared
