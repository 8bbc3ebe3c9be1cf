"""The duty that ranks the tasks: the order in which claims serve them."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.conductor.recent_use import RecentUse
from orchestra.domain.ranking import Contender, rank
from orchestra.domain.states import Queue, TaskState
from orchestra.store.tasks import live_tasks


class TaskOrder:
    """Ranks tasks by what their owners use and have used lately."""

    def __init__(self) -> None:
        self._recent_use = RecentUse()

    def forget(self) -> None:
        """Read the recent use again: another process may have been the conductor meanwhile."""
        self._recent_use.forget()

    def rerank(self, conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> set[Queue]:
        """Store the ranks that have changed. A task without claimable jobs has none, so that claims skip it.

        Returns the queues in which a task has claimable jobs again (released from a hold, a job to be retried): their
        pilots must be woken.
        """
        shares = self._recent_use.look(conn, tasks)
        scores = {owner: share.score for owner, share in shares.items()}
        ranks = rank((contender(task) for task in tasks), scores)
        changed = {task.id: ranks.get(task.id) for task in tasks if ranks.get(task.id) != task.rank}
        live_tasks.set_ranks(conn, changed)
        return {
            task.queue for task in tasks if task.rank is None and changed.get(task.id) is not None
        }


def contender(task: live_tasks.LiveTask) -> Contender:
    """What decides the rank of a task, besides its owner's share."""
    counts = task.facts.counts
    claimable = task.facts.state.may_claim and not task.facts.held
    # With max_running, reports release jobs, which must not wait for a rank.
    coming = counts.registered if task.facts.max_running is not None else 0
    return Contender(
        task=task.id,
        queue=task.queue,
        owner=task.owner_id,
        priority=task.priority,
        first_in_line=task.first_in_line,
        ready=counts.assigned + coming if claimable else 0,
        testing=task.facts.state is TaskState.TESTING,
        rank=task.rank,
    )
