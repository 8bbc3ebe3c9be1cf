"""Claims: which tasks a pilot may claim jobs from, and claiming them. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.numeric import Int8

from orchestra.domain import images
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, Grant, Place
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks.locks import FirstClaimable
from orchestra.store.tasks.tasks import RESOURCE_COLUMNS
from orchestra.store.work import attempts, claim_cursors, task_specs

SQL = load("work/claims")
BEFORE_ALL: Place = (-(2**31), -1)
NO_BOUND = 2**62


@dataclass(frozen=True, slots=True)
class ClaimingPilot:
    """The agent that decides for a node, which tasks it may serve, and the database's epoch.

    `images` is the pattern of the images that its container runtimes can run. `enabled` is the room of the idle node
    that its operator has enabled. `described` changes with the node's labels; None if no task asks for labels.
    """

    agent: UUID
    account: str
    serves_all: bool
    images: str
    drained: bool
    enabled: Room
    epoch: int
    limited_owners: frozenset[int] = frozenset()
    described: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task to claim jobs from, and what each of them needs (`resources`) and takes (`request`)."""

    id: int
    rank: int
    owner: int
    placement: int | None
    resources: Resources
    request: Request

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
        enabled=Room(
            cpus=row["cpu_enabled"],
            devices=(DeviceRoom(),) * row["gpu_enabled"],
            memory_bytes=row["memory_bytes"],
        ),
        epoch=row["epoch"],
        limited_owners=frozenset(row["limited_owners"]),
        described=row["described"],
    )


def candidates(
    conn: psycopg.Connection,
    queue: Queue,
    pilot: ClaimingPilot,
    room: Room,
    avoid: Collection[int] = (),
    *,
    not_of: Collection[int] = (),
    not_here: Collection[int] = (),
    after: Place = BEFORE_ALL,
    limit: int,
) -> list[Candidate]:
    """Return a page of the tasks to claim jobs from, best first, that there is enough `room` for of each kind.

    A job may still not fit, if it needs several things of one GPU.

    Args:
        avoid: tasks to leave out; `not_of` are owners, `not_here` placements.
    """
    rank, task = after
    params = {
        "queue": queue,
        "serves_all": pilot.serves_all,
        "account": pilot.account,
        "images": pilot.images,
        **bounds(room),
        "avoid": list(avoid),
        "not_of": list(not_of),
        "not_here": list(not_here),
        "rank": rank,
        "after": task,
        "limit": limit,
    }
    with conn.cursor() as cursor:  # plain rows, because many are read
        rows = cursor.execute(SQL.candidates, params).fetchall()
    return [
        Candidate(task, rank, owner, placement, *_needs(queue, *columns))
        for task, rank, owner, placement, *columns in rows
    ]


def bounds(room: Room) -> dict[str, float]:
    """Return the most of each kind that a job may need. What is unknown is no bound."""

    def amount(
        value: int | None,
    ) -> Int8:  # always of one type, so that the statement is planned once
        return Int8(NO_BOUND if value is None else value)

    return {
        "cpus": room.cpus,
        "whole_gpus": room.whole_gpus,
        "gpu_milli": max((device.milli for device in room.devices), default=0),
        "vram_bytes": max((amount(device.vram_bytes) for device in room.devices), default=Int8(0)),
        "memory_bytes": amount(room.memory_bytes),
        "scratch_bytes": amount(room.scratch_bytes),
        "is_idle": room.is_idle,
        "seconds_left": room.seconds_left,
    }


@lru_cache
def _needs(queue: Queue, *columns: Any) -> tuple[Resources, Request]:
    """Return what a job needs and takes, from the RESOURCE_COLUMNS of its task. Many tasks need the same."""
    resources = Resources(**dict(zip(RESOURCE_COLUMNS, columns, strict=True)))
    return resources, Request.of(queue, resources)


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
