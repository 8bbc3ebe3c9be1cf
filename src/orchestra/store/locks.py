"""The locks of tasks, held until the transaction ends. They queue fairly: a command waits for who is there, no longer.

What a transaction wants to know of a task it reads after it has the lock. Tasks are locked in ascending order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import psycopg

from orchestra.store.database import fetch
from orchestra.store.sql import load

SQL = load("locks")


def exclude(conn: psycopg.Connection, task: int) -> None:
    """Wait until nobody else takes, starts, ends or releases jobs of a task, or changes it; nobody begins to."""
    conn.execute(SQL.exclude, {"task": task})


def share(conn: psycopg.Connection, tasks: Collection[int]) -> None:
    """Let no command change tasks meanwhile."""
    conn.execute(SQL.share, {"tasks": sorted(set(tasks))})


@dataclass(slots=True)
class ClaimLocks:
    """The tasks that one claim shares, up to the `highest`.

    A claim finds its tasks in the order of their ranks. Where the next one stands below one that it shares already, it
    does not wait, or it could be part of a ring.
    """

    highest: int = -1

    def share(self, conn: psycopg.Connection, task: int) -> bool | None:
        """Share a task that has jobs to hand out; None where it has none, False where this would have to wait."""
        params = {"task": task, "wait": task >= self.highest}
        row = fetch(conn, SQL.share_to_claim, params)[0]
        if not row["has_jobs"]:
            return None
        if row["shared"]:
            self.highest = max(self.highest, task)
        return bool(row["shared"])
