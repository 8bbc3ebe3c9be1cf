"""The duty that keeps the order in which tasks are served."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.ranking import Contender, rank
from orchestra.domain.states import Queue
from orchestra.store import moves


def rerank(conn: psycopg.Connection, tasks: Sequence[moves.LiveTask]) -> set[Queue]:
    """Write the ranks that changed. A task with nothing to hand out has none, so that no claim looks at it.

    Gives the queues in which a task has work again (released from a hold, a job to be retried): pilots that found
    nothing are to be told.
    """
    ranks = rank(_contender(task) for task in tasks)
    changed = {task.id: ranks.get(task.id) for task in tasks if ranks.get(task.id) != task.rank}
    moves.set_ranks(conn, changed)
    return {task.queue for task in tasks if task.rank is None and changed.get(task.id) is not None}


def _contender(task: moves.LiveTask) -> Contender:
    counts = task.facts.counts
    claimable = task.facts.state.may_claim and not task.facts.held
    return Contender(
        task=task.id,
        queue=task.queue,
        owner=task.owner_id,
        priority=task.priority,
        first_in_line=task.first_in_line,
        in_use=counts.living * task.slots,
        ready=counts.assigned if claimable else 0,
        rank=task.rank,
    )
