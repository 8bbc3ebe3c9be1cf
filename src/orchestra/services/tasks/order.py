"""The order in which waiting jobs start: users, tasks, and nodes that wait for jobs that fit on none now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

from orchestra.domain import order_text, user_limits
from orchestra.domain.fair_share import NO_LOAD, Load, Share, used_lately
from orchestra.domain.ranking import in_order
from orchestra.domain.states import Queue
from orchestra.domain.wording import Action, Sentence, words
from orchestra.interface.answers.order import QueueOrder, TaskInOrder, UserInOrder
from orchestra.store.cluster import recent_use
from orchestra.store.driver.database import read_one_snapshot
from orchestra.store.nodes import queues, reservations
from orchestra.store.tasks import live_tasks
from orchestra.store.tasks import tasks as task_store


@dataclass(frozen=True, slots=True)
class Standing:
    """What decides the order at one moment.

    Args:
        costs: of a job of each task, in CPU slots.
        shares, loads: by owner, the share and what the running jobs take.
    """

    tasks: Sequence[live_tasks.LiveTask]
    costs: Mapping[int, float]
    shares: Mapping[int, Share]
    loads: Mapping[int, Load]


def standing(conn: psycopg.Connection) -> Standing:
    """Read what decides the order, as the conductor does."""
    tasks = live_tasks.read(conn)
    rates, known = recent_use.rates(conn), recent_use.read(conn)
    in_use: dict[int, float] = {}
    loads: dict[int, Load] = {}
    for task in tasks:
        in_use[task.owner_id] = in_use.get(task.owner_id, 0.0) + rates.cost(task.load)
        loads[task.owner_id] = loads.get(task.owner_id, NO_LOAD) + task.load
    shares = {}
    for task in tasks:
        lately, seconds = known.get(task.owner_id, (0.0, 0.0))
        now = in_use[task.owner_id]
        shares[task.owner_id] = Share(now, used_lately(lately, now, seconds), task.shares)
    costs = {task.id: rates.cost(Load.of(task.request)) for task in tasks}
    return Standing(tasks, costs, shares, loads)


def shares_by_name(found: Standing) -> dict[str, Share]:
    """Return the shares by the names of their users."""
    return {task.owner: found.shares[task.owner_id] for task in found.tasks}


def show_order(conn: psycopg.Connection) -> QueueOrder:
    """Explain the order of waiting jobs, from one snapshot of the database."""
    with conn.transaction():
        read_one_snapshot(conn)
        found, held = standing(conn), reservations.shown(conn)
        starts = {row.task: row.starts_at for row in reversed(held) if row.starts_at}
        return QueueOrder(
            users=tuple(_users(found)),
            tasks=tuple(_tasks(found, starts)),
            reserved=tuple(held),
            conductor=queues.conductor_alive(conn),
            now=task_store.now(conn),
        )


def _users(found: Standing) -> list[UserInOrder]:
    waiting: dict[int, int] = {}
    owners = {}
    for task in found.tasks:
        owners[task.owner_id] = task
        waiting[task.owner_id] = waiting.get(task.owner_id, 0) + _waiting(task)
    users = [
        UserInOrder(
            task.owner,
            task.shares,
            found.shares[owner].in_use,
            found.shares[owner].lately,
            found.shares[owner].score,
            found.loads[owner].jobs,
            waiting[owner],
            task.limits,
        )
        for owner, task in owners.items()
        if waiting[owner] or found.loads[owner].jobs
    ]
    return sorted(users, key=lambda user: (user.score, user.name))


def _tasks(found: Standing, starts: Mapping[int, datetime]) -> Iterator[TaskInOrder]:
    """Yield the tasks with waiting jobs: those of each queue in order, then those whose jobs do not start now."""
    scores = {owner: share.score for owner, share in found.shares.items()}
    names = {task.owner_id: task.owner for task in found.tasks}
    by_id = {task.id: task for task in found.tasks}
    everything = in_order((task.contender for task in found.tasks), scores)
    for queue in Queue:
        line = [each for each in everything if each.queue is queue]
        whys = order_text.why_there(line, found.shares, names)
        for place, (each, why) in enumerate(zip(line, whys, strict=True), start=1):
            task = by_id.pop(each.task)
            taken = found.loads[task.owner_id]
            if limit := user_limits.reached(task.limits, taken, task.request):
                why = f"waits: {task.owner} may use {limit} at most"
            yield _in_order(task, place, why, starts.get(task.id))
    for task in by_id.values():
        if task.facts.held and _waiting(task):
            yield _in_order(task, None, words("held: ", Action.RELEASE_TASK(task=task.id)), None)


def _waiting(task: live_tasks.LiveTask) -> int:
    return task.facts.counts.assigned + task.facts.counts.registered


def _in_order(
    task: live_tasks.LiveTask, place: int | None, why: Sentence, starts_at: datetime | None
) -> TaskInOrder:
    return TaskInOrder(
        place,
        task.queue,
        task.id,
        task.name,
        task.owner,
        task.priority,
        task.facts.counts.living,
        _waiting(task),
        why,
        starts_at,
    )
