"""Claims: which tasks a pilot may claim jobs from, and claiming them. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Any
from uuid import UUID

import psycopg
from psycopg.types.numeric import Int8

from orchestra.domain import images
from orchestra.domain.allowance import Allowance
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


CANDIDATES = "\n".join((SQL.candidates, SQL.wanted, SQL.page))
NEEDS = "\n".join((SQL.needs, SQL.wanted, SQL.some))


@dataclass(frozen=True, slots=True)
class Reserved:
    """The task for which a node waits, the seconds until its next job starts, if known, and what is spare beside it."""

    task: int
    starts_in: float
    spare: Allowance


@dataclass(frozen=True, slots=True)
class ClaimingPilot:
    """The agent that decides for a node, which tasks it may serve, and the database's epoch.

    `images` is the pattern of the images that its container runtimes can run. `enabled` is the room of the idle node
    that its operator has enabled. `described` changes with the node's labels; None if no task asks for labels.
    `reserved`: the node waits for a job.
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
    reserved: Reserved | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task to claim jobs from, and what each of them takes. `seconds` is how long one takes at most, if known."""

    id: int
    rank: int
    owner: int
    placement: int | None
    seconds: float | None
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
        reserved=_reserved(row) if row["reserved_for"] is not None else None,
    )


def _reserved(row: Mapping[str, Any]) -> Reserved:
    amounts = ("spare_cpus", "spare_gpu_milli", "spare_memory", "spare_scratch")
    starts_in = inf if row["starts_in"] is None else row["starts_in"]
    return Reserved(row["reserved_for"], starts_in, Allowance(*(row[name] for name in amounts)))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The tasks of a queue that a claim may take from.

    Args:
        rooms: what their jobs must fit into.
        avoid: tasks to leave out; `not_of` are owners, `not_here` placements.
        reserved: the node waits for a job of this task.
    """

    queue: Queue
    pilot: ClaimingPilot
    rooms: Sequence[Room]
    avoid: Collection[int] = ()
    not_of: Collection[int] = ()
    not_here: Collection[int] = ()
    reserved: Reserved | None = None

    def params(self) -> dict[str, Any]:
        """Return the parameters of the part `wanted` of a statement."""
        return {
            "queue": self.queue,
            "serves_all": self.pilot.serves_all,
            "account": self.pilot.account,
            "images": self.pilot.images,
            "avoid": list(self.avoid),
            "not_of": list(self.not_of),
            "not_here": list(self.not_here),
            **_least([_bounds(room) for room in self.rooms]),
            **_beside(self.reserved),
        }


def candidates(
    conn: psycopg.Connection, wanted: Wanted, *, after: Place = BEFORE_ALL, limit: int
) -> list[Candidate]:
    """Return a page of the tasks to claim jobs from, best first.

    There is enough room of each kind, but a job may still not fit, if it needs several things of one GPU.
    """
    rank, task = after
    params = {**wanted.params(), "rank": rank, "after": task, "limit": limit}
    with conn.cursor() as cursor:  # plain rows, because many are read
        rows = cursor.execute(CANDIDATES, params).fetchall()
    return [
        Candidate(task, rank, owner, place, seconds, _needs(wanted.queue, *columns)[1])
        for task, rank, owner, place, seconds, *columns in rows
    ]


def needs(conn: psycopg.Connection, wanted: Wanted) -> list[tuple[Resources, Request]]:
    """Return what the jobs of tasks need and take, each once."""
    with conn.cursor() as cursor:
        rows = cursor.execute(NEEDS, wanted.params()).fetchall()
    return [_needs(wanted.queue, *columns) for columns in rows]


def _bounds(room: Room) -> dict[str, float]:
    """Return the most of each kind that a job may need. What is unknown is no bound."""
    return {
        "cpus": room.cpus,
        "whole_gpus": room.whole_gpus,
        "gpu_milli": max((device.milli for device in room.devices), default=0),
        "vram_bytes": max((_bytes(device.vram_bytes) for device in room.devices), default=Int8(0)),
        "memory_bytes": _bytes(room.memory_bytes),
        "scratch_bytes": _bytes(room.scratch_bytes),
        "is_idle": room.is_idle,
        "seconds_left": room.seconds_left,
    }


def _least(bounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: min(each[name] for each in bounds) for name in bounds[0]}


def _beside(reserved: Reserved | None) -> dict[str, Any]:
    spare = reserved.spare if reserved else Allowance(cpus=0, gpu_milli=0)
    return {
        "is_reserved": reserved is not None,
        "reserved_for": reserved.task if reserved else 0,
        "starts_in": reserved.starts_in if reserved else inf,
        "spare_cpus": spare.cpus,
        "spare_gpu_milli": spare.gpu_milli,
        "spare_memory": _bytes(spare.memory_bytes),
        "spare_scratch": _bytes(spare.scratch_bytes),
    }


def _bytes(amount: int | None) -> Int8:
    """An amount as a parameter, which always has the same type, so that a statement is planned once."""
    return Int8(NO_BOUND if amount is None else amount)


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
