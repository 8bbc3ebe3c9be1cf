"""What `job explain` reads about the queue, the nodes and the events of a job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from orchestra.domain.explanation import KeeperLease
from orchestra.domain.fair_share import Load
from orchestra.domain.forecast import Competitor, RunningJobs
from orchestra.domain.matchmaking import Need
from orchestra.domain.models.events import Event
from orchestra.domain.models.failures import FailedAttempt
from orchestra.domain.models.tasks import Resources
from orchestra.domain.states import JobState, Queue, TaskState
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks.facts import failed_attempt

SQL = load("jobs/explain")
BEFORE_EVERYTHING, BEHIND_EVERYTHING = -1, 2
"""Turns that no job has."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A job's position in its task, and its keeper."""

    turn: int
    not_before: datetime | None
    keeper_id: UUID | None


@dataclass(frozen=True, slots=True)
class Work:
    """The jobs of one task that a node holds; `unstarted` of them have no process yet."""

    at_work: RunningJobs
    unstarted: int


def turn(conn: psycopg.Connection, task: int, index: int) -> Turn:
    return Turn(**fetch(conn, SQL.turn, {"task": task, "index": index})[0])


def before_params(
    task: int, index: int, state: JobState, turn: int, limit: int
) -> Mapping[str, Any]:
    """Return the parameters of `before`. All claimable jobs come before one that is not released."""
    released = state is not JobState.REGISTERED
    return {
        "task": task,
        "index": index,
        "claimable_turn": turn if released else BEHIND_EVERYTHING,
        "waiting_turn": BEFORE_EVERYTHING if released else turn,
        "limit": limit,
    }


def before(
    conn: psycopg.Connection, task: int, index: int, state: JobState, turn: int, *, limit: int
) -> int:
    """Count the jobs of the same task that come before a waiting one; at most `limit` of each kind."""
    return int(fetch(conn, SQL.before, before_params(task, index, state, turn, limit))[0]["jobs"])


def at_work(conn: psycopg.Connection, queue: Queue) -> list[Work]:
    """Return the jobs of a queue that nodes hold."""
    return [
        Work(
            RunningJobs(
                row["node"], row["task"], row["jobs"], _slots(row, queue), row["typical_seconds"]
            ),
            row["unstarted"],
        )
        for row in fetch(conn, SQL.at_work, {"queue": queue})
    ]


def in_use_of(conn: psycopg.Connection, owner: str) -> Load:
    """Return what the jobs of a user take that nodes hold: their number, CPU slots and GPUs."""
    return Load(**fetch(conn, SQL.in_use_of, {"owner": owner})[0])


def in_use(work: Sequence[Work]) -> dict[str, int]:
    """Return how many slots that work takes, by node."""
    slots: dict[str, int] = {}
    for each in work:
        node = each.at_work.node
        slots[node] = slots.get(node, 0) + each.at_work.jobs * each.at_work.slots
    return slots


def _slots(row: Mapping[str, Any], queue: Queue) -> int:
    return _need(row, queue).slots


def _need(row: Mapping[str, Any], queue: Queue) -> Need:
    resources = Resources(row["cores"], row["gpus"])
    return Need.of_resources(queue, resources, row.get("account") or "", row.get("image"))


def competitors(conn: psycopg.Connection, queue: Queue, work: list[Work]) -> list[Competitor]:
    """Return the live tasks of a queue. Claimed jobs count as living, not as waiting."""
    claimed: dict[int, int] = {}
    for each in work:
        claimed[each.at_work.task] = claimed.get(each.at_work.task, 0) + each.unstarted
    return [
        _competitor(row, queue, claimed.get(row["task"], 0))
        for row in fetch(conn, SQL.competitors, {"queue": queue})
    ]


def _competitor(row: Mapping[str, Any], queue: Queue, claimed: int) -> Competitor:
    state = TaskState(row["state"])
    waiting = row["assigned"] - claimed
    if state is TaskState.RUNNING:  # these are released without any other condition
        waiting += row["registered"]
    living = row["living"] + claimed
    if row["max_running"] is not None:
        waiting = min(waiting, row["max_running"] - living)
    stopped = row["held"] or row["moving"] or not state.may_claim
    return Competitor(
        task=row["task"],
        owner=row["owner"],
        need=_need(row, queue),
        priority=row["priority"],
        first_in_line=row["first_in_line"],
        living=living,
        testing=state is TaskState.TESTING,
        waiting=0 if stopped else max(0, waiting),
    )


def kill_request(conn: psycopg.Connection, task: int, index: int, until: datetime) -> Event | None:
    """The newest request up to a given time to end a job or its whole task, or None."""
    rows = fetch(conn, SQL.kill_request, {"task": task, "index": index, "until": until})
    return Event(**rows[0]) if rows else None


def failed_tests(conn: psycopg.Connection, task: int, *, limit: int) -> list[FailedAttempt]:
    """Return the test jobs that broke a task, in order."""
    return [
        failed_attempt(row) for row in fetch(conn, SQL.failed_tests, {"task": task, "limit": limit})
    ]


def keeper_lease(conn: psycopg.Connection, keeper: UUID) -> KeeperLease | None:
    """The lease of the keeper that holds a job, or None."""
    rows = fetch(conn, SQL.keeper_lease, {"keeper": keeper})
    return KeeperLease(**rows[0]) if rows else None
