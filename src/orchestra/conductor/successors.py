"""The duty that wakes pilots for jobs that a report has released and that its pilot has not claimed.

A report of a task with max_running releases the next jobs without a notification, because the pilot that reports claims
them at once. If it drains, has died or has no slot for them, the others must learn of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import psycopg

from orchestra.domain.states import Queue
from orchestra.store.jobs import running_limit
from orchestra.store.tasks import live_tasks


class Successors:
    """Remembers since when the first claimable job of each task with max_running is one, and when pilots were woken."""

    def __init__(self) -> None:
        self._seen: dict[int, datetime] = {}
        self._woken: dict[int, datetime] = {}

    def tick(self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> set[Queue]:
        """Return the queues whose pilots must be woken: a job is the first of its task for the second time in a row.

        Once for each such job. Those behind it need no wake-up of their own: whoever is woken for the first one, or
        claims it, finds them as well.
        """
        limited = {task.id: task.queue for task in tasks if _may_have_unclaimed(task)}
        first = running_limit.first_claimable(conn, limited) if limited else {}
        left = {task for task, since in first.items() if self._seen.get(task) == since}
        fresh = {task for task in left if self._woken.get(task) != first[task]}
        self._woken = {t: at for t, at in self._woken.items() if t in first} | {
            task: first[task] for task in fresh
        }
        self._seen = first
        return {limited[task] for task in fresh}


def _may_have_unclaimed(task: live_tasks.LiveTask) -> bool:
    places = task.facts.places
    return places is not None and places.unclaimed > 0 and task.rank is not None
