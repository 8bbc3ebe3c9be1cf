"""Attempts that keepers hold: reading, adopting and ending them. Runs inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from orchestra.domain.errors import UnknownKeeper
from orchestra.domain.models.work import (
    AttemptKey,
)
from orchestra.domain.states import JobState, Queue
from orchestra.store.driver.columns import Ints, Uuids
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import locks

SQL = load("work/attempts")


@dataclass(frozen=True, slots=True)
class LockedKeeper:
    id: UUID
    node_id: int
    node: str
    last_request: int
    report_sequence: int
    fenced: bool
    fence_reason: str | None


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    key: AttemptKey
    request: int
    started: bool


def lock_keeper(conn: psycopg.Connection, keeper: UUID) -> LockedKeeper:
    """Lock a keeper's row, so that its claims and reports are serialised.

    Raises:
        UnknownKeeper: there is no such keeper.
    """
    rows = fetch(conn, SQL.lock_keeper, {"keeper": keeper})
    if not rows:
        raise UnknownKeeper(f"the database knows no keeper {keeper}")
    row = rows[0]
    return LockedKeeper(keeper, **row)


def _key(row: Mapping[str, Any]) -> AttemptKey:
    return AttemptKey(row["task_id"], row["ordinal"], row["number"], row["token"])


def key_columns(keys: Sequence[AttemptKey]) -> dict[str, Any]:
    return {
        "tasks": Ints([key.task_id for key in keys]),
        "indexes": Ints([key.index for key in keys]),
        "numbers": Ints([key.number for key in keys]),
        "count": len(keys),
    }


def full_key_columns(keys: Sequence[AttemptKey]) -> dict[str, Any]:
    return {**key_columns(keys), "tokens": Uuids([key.token for key in keys])}


def open_attempts(
    conn: psycopg.Connection, keeper: LockedKeeper, limit: int | None = None
) -> list[OpenAttempt]:
    """Return the open attempts of a keeper, in order; at most `limit`."""
    params = {"node": keeper.node_id, "keeper": keeper.id, "limit": limit}
    rows = fetch(conn, SQL.open_attempts, params)
    return [OpenAttempt(_key(row), row["request"], row["started"]) for row in rows]


def known(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> set[AttemptKey]:
    """Return those of the keys that this database granted."""
    return {_key(row) for row in fetch(conn, SQL.known, full_key_columns(list(keys)))}


def adopt(
    conn: psycopg.Connection, keeper: LockedKeeper, folders: Mapping[AttemptKey, int]
) -> dict[AttemptKey, JobState]:
    """Grant attempts retroactively if their jobs are free, and return the states of those jobs. Tasks are shared."""
    params = {
        **full_key_columns(list(folders)),
        "folders": Ints(folders.values()),
        "keeper": keeper.id,
        "node": keeper.node_id,
    }
    return {_key(row): JobState(row["before"]) for row in fetch(conn, SQL.adopt, params)}


def forgotten(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> list[AttemptKey]:
    """Return those of the `keys`, which the database lacks, that do not belong to a task that it deleted.

    It granted them once, so it has been replaced by an older one since.
    """
    if not keys:
        return []
    tasks = sorted({key.task_id for key in keys})
    deleted = {row["task_id"] for row in fetch(conn, SQL.deleted_tasks, {"tasks": tasks})}
    return [key for key in keys if key.task_id not in deleted]


def nodes_of_losses(conn: psycopg.Connection, key: AttemptKey, limit: int) -> list[str]:
    """Return the nodes on which the last attempts of a job were lost, latest first."""
    params = {"task": key.task_id, "index": key.index, "limit": limit}
    return [row["node"] for row in fetch(conn, SQL.nodes_of_losses, params)]


def end_back_off(conn: psycopg.Connection, limit: int) -> set[Queue]:
    """Make jobs claimable whose delay before a retry is over, and return their queues; not with max_running."""
    due = [row["task_id"] for row in fetch(conn, SQL.tasks_with_due_jobs, {"limit": limit})]
    if not due or not (tasks := locks.try_share(conn, due)):
        return set()
    rows = fetch(conn, SQL.end_back_off, {"tasks": tasks, "limit": limit})
    return {Queue(row["queue"]) for row in rows}


def attempts_to_end(conn: psycopg.Connection, node: int) -> list[tuple[AttemptKey, str]]:
    """Return the attempts of a node that must end, each with the reason in words."""
    rows = fetch(conn, SQL.attempts_to_end, {"node": node})
    return [(_key(row), _why_end(row)) for row in rows]


def attempts_to_recall(conn: psycopg.Connection, node: int) -> list[tuple[AttemptKey, str]]:
    """Return the attempts that a node has claimed and not started, and that are to be requeued, each with the reason.

    Their task is held, or was changed after the claim.
    """
    rows = fetch(conn, SQL.attempts_to_recall, {"node": node})
    return [
        (_key(row), "its task is held" if row["held"] else "its task was changed") for row in rows
    ]


def _why_end(row: Mapping[str, Any]) -> str:
    if row["whole_task"]:
        return "its task was killed"
    return "another test job failed" if row["for_test"] else "it was killed on request"
