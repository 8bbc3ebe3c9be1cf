"""Claims: which tasks a pilot may claim jobs from, and claiming them. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from orchestra.domain import images
from orchestra.domain.models.work import AttemptKey, Grant, Place
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks.locks import FirstClaimable
from orchestra.store.work import attempts, claim_cursors, task_specs

SQL = load("work/claims")
BEFORE_ALL: Place = (-(2**31), -1)


@dataclass(frozen=True, slots=True)
class ClaimingPilot:
    """The agent that decides for a node, which tasks it may serve, the node's slots, and the database's epoch.

    `images` is the pattern of the images that its container runtimes can run.
    """

    agent: UUID
    account: str
    serves_all: bool
    images: str
    drained: bool
    enabled: Mapping[Queue, int]
    epoch: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task to claim jobs from, each of which takes `slots`."""

    id: int
    rank: int
    slots: int

    @property
    def place(self) -> Place:
        return self.rank, self.id

    @property
    def before(self) -> Place:
        """The place from which the next page starts with this task."""
        return self.rank, self.id - 1


@dataclass(frozen=True, slots=True)
class ClaimedJobs:
    """The result of a claim from one task. `missed` jobs changed hands while they were chosen and can still be claimed.

    `cursor_lags` says that the claim skipped so many jobs that the task's claim cursors should be advanced.
    """

    grants: list[Grant]
    missed: int
    cursor_lags: bool


def claiming_pilot(
    conn: psycopg.Connection, keeper: attempts.LockedKeeper, request: int | None = None
) -> ClaimingPilot | None:
    """Return the agent that decides for a keeper's node, and record the number of a claim's `request`."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "request": request}
    rows = fetch(conn, SQL.claiming_pilot, params)
    if not rows:
        return None
    row = rows[0]
    return ClaimingPilot(
        agent=row["agent"],
        account=row["account"],
        serves_all=row["serves_all"],
        images=images.pattern(row["runtimes"]),
        drained=row["drained"],
        enabled={Queue.CPU: row["cpu_enabled"], Queue.GPU: row["gpu_enabled"]},
        epoch=row["epoch"],
    )


def candidates(
    conn: psycopg.Connection,
    queue: Queue,
    pilot: ClaimingPilot,
    offered: int,
    avoid: Collection[int] = (),
    *,
    after: Place = BEFORE_ALL,
    limit: int,
) -> list[Candidate]:
    """Return a page of the tasks to claim jobs from, best first, whose jobs need at most `offered` slots."""
    rank, task = after
    params = {
        "queue": queue,
        "serves_all": pilot.serves_all,
        "account": pilot.account,
        "images": pilot.images,
        "offered": offered,
        "avoid": list(avoid),
        "rank": rank,
        "after": task,
        "limit": limit,
    }
    return [Candidate(**row) for row in fetch(conn, SQL.candidates, params)]


def tasks_with_jobs(conn: psycopg.Connection, tasks: Collection[int]) -> set[int]:
    """Return those of the tasks that have a claimable job."""
    return {row["id"] for row in fetch(conn, SQL.tasks_with_jobs, {"tasks": list(tasks)})}


def claim_jobs(
    conn: psycopg.Connection,
    task: int,
    first: FirstClaimable,
    keeper: attempts.LockedKeeper,
    request: int,
    limit: int,
) -> ClaimedJobs:
    """Claim up to `limit` jobs of a shared task, in order; none if it can no longer be claimed from."""
    params = {
        "task": task,
        "first_in_line": first.first_in_line,
        "in_order": first.in_order,
        "limit": limit,
        "keeper": keeper.id,
        "node": keeper.node_id,
        "request": request,
    }
    with conn.cursor() as cursor:  # plain rows, because this is the longest answer of a claim
        rows = cursor.execute(SQL.claim_jobs, params).fetchall()
    grants = [_grant(*row[2:]) for row in rows if row[2] is not None]
    picked, jobs = rows[0][:2]
    # Small tasks need no cursors.
    cursor_lags = (jobs or 0) > claim_cursors.step(limit) <= first.passed
    return ClaimedJobs(grants, missed=picked - len(grants), cursor_lags=cursor_lags)


def granted(conn: psycopg.Connection, keeper: attempts.LockedKeeper, request: int) -> list[Grant]:
    """Return the open grants of a request, in order."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "request": request}
    with conn.cursor() as cursor:
        return [_grant(*row) for row in cursor.execute(SQL.granted, params).fetchall()]


def _grant(
    task: int,
    index: int,
    number: int,
    token: UUID,
    is_test: bool,
    folder_number: int,
    done_attempt: int | None,
    new_folder: bool,
    let_go: int,
    revision: int,
    root: str,
    is_folder: bool,
    *file: Any,
) -> Grant:
    """Build a grant from a row, whose last columns are those of the config's ManifestEntry."""
    config = task_specs.input_file(root, is_folder, *file)
    key = AttemptKey(task, index, number, token)
    return Grant(key, is_test, folder_number, done_attempt, config, new_folder, let_go, revision)
