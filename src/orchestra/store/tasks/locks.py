"""The locks of tasks, held until the transaction ends. They queue fairly: a command waits for who is there, no longer.

What a transaction wants to know of a task it reads after it has the lock. Tasks are locked in ascending order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from orchestra.store.driver.sql import load

SQL = load("tasks/locks")


def exclude(conn: psycopg.Connection, task: int) -> None:
    """Wait until nobody else takes, starts, ends or releases jobs of a task, or changes it; nobody begins to."""
    conn.execute(SQL.exclude, {"task": task})


def share(conn: psycopg.Connection, tasks: Collection[int]) -> None:
    """Let no command change tasks meanwhile."""
    conn.execute(SQL.share, {"tasks": sorted(set(tasks))})


@dataclass(frozen=True, slots=True)
class FirstClaimable:
    """Where the jobs of a task that can be claimed begin, in each turn: None where it has none.

    A claim from there on misses what has come back since: that is for the next one. `passed` says how many places were
    walked past, from a floor on.
    """

    first_in_line: int | None
    in_order: int | None
    passed: int

    @property
    def has_jobs(self) -> bool:
        return self.first_in_line is not None or self.in_order is not None


@dataclass(slots=True)
class ClaimLocks:
    """The tasks that one claim shares, up to the `highest`.

    A claim finds its tasks in the order of their ranks. Where the next one stands below one that it shares already, it
    does not wait, or it could be part of a ring.
    """

    highest: int = -1

    def share(self, conn: psycopg.Connection, task: int) -> tuple[FirstClaimable, bool]:
        """Share a task that has jobs to hand out; False where it has none, or where this would have to wait."""
        params = {"task": task, "wait": task >= self.highest}
        with conn.cursor() as cursor:
            row = cursor.execute(SQL.share_to_claim, params).fetchone()
        assert row
        *first, shared = row
        if shared:
            self.highest = max(self.highest, task)
        return FirstClaimable(*first), shared
