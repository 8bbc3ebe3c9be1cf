"""The duty that ranks the tasks: the order in which claims serve them."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.ranking import Contender, rank
from orchestra.domain.states import Queue
from orchestra.store.tasks import live_tasks


def rerank(conn: psycopg.Connection, tasks: Sequence[live_tasks.LiveTask]) -> set[Queue]:
    """Store the ranks that have changed. A task without claimable jobs has none, so that claims skip it.

    Returns the queues in which a task has claimable jobs again (released from a hold, a job to be retried): their
    pilots must be woken.
    """
    ranks = rank(_contender(task) for task in tasks)
    changed = {task.id: ranks.get(task.id) for task in tasks if ranks.get(task.id) != task.rank}
    live_tasks.set_ranks(conn, changed)
    return {task.queue for task in tasks if task.rank is None and changed.get(task.id) is not None}


def _contender(task: live_tasks.LiveTask) -> Contender:
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
        in_use=task.slots_in_use,
        ready=counts.assigned + coming if claimable else 0,
        rank=task.rank,
    )
