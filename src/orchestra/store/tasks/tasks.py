"""Reading tasks. `creation.py` creates them, `task_mutations.py` changes their state."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

import psycopg

from orchestra.domain.models.tasks import (
    Counts,
    Dependency,
    Hold,
    Limit,
    Origin,
    Policy,
    Resources,
    Task,
    hold_cause,
)
from orchestra.domain.states import PendingOperation, Queue, TaskState
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks import placements

SQL = load("tasks/tasks")

# Columns that are fields of the same name.
_TASK = (
    "id", "name", "owner", "account", "command", "image", "volume", "folder", "complete_file", "metrics_file",
    "config_version_id", "jobs", "run", "revision", "created_at", "state_at", "rank", "test_started_at",
    "work_started_at", "ended_at", "typical_seconds", "p95_seconds", "goal", "attach_report", "removed",
)  # fmt: skip
POLICY_COLUMNS = (
    "test_jobs",
    "test_for",
    "retries",
    "timeout",
    "grace",
    "priority",
    "resume",
    "max_running",
    "walltime",
)


_policy_values = itemgetter(*POLICY_COLUMNS)
RESOURCE_COLUMNS = tuple(field.name for field in fields(Resources))
_resource_values = itemgetter(*RESOURCE_COLUMNS)
# The same few values fill a long list.
_resources = lru_cache(Resources)


@lru_cache
def _policy(max_fails: int | None, percent: float | None, *values: Any) -> Policy:
    limit = None if max_fails is None and percent is None else Limit(max_fails, percent)
    return Policy(**dict(zip(POLICY_COLUMNS, values, strict=True)), max_fails=limit)


def task_from_row(row: Mapping[str, Any]) -> Task:
    """Build a Task from a row of `select_task`."""
    return Task(
        **{key: row[key] for key in _TASK},
        env=row["env"] or {},
        binds=tuple(row["binds"]),
        queue=Queue(row["queue"]),
        state=TaskState(row["state"]),
        policy=_policy(row["max_fails"], row["max_fails_percent"], *_policy_values(row)),
        resources=_resources(*_resource_values(row)),
        counts=Counts.without_removed(row, row["removed"]),
        hold=_hold(row) if row["held_at"] else None,
        pending_operation=PendingOperation(row["intent"]) if row["intent"] else None,
        origin=Origin(**row["origin"]) if row["origin"] else None,
        placement=placements.from_row(row),
        after=tuple(_after(each) for each in row["after"] or ()),
    )


def _hold(row: Mapping[str, Any]) -> Hold:
    cause = hold_cause(row["held_cause"], row["held_by"])
    return Hold(row["held_at"], row["held_by"], row["held_reason"], cause)


def _after(found: Mapping[str, Any]) -> Dependency:
    state = TaskState(found["state"]) if found["state"] else None
    return Dependency(found["id"], found["name"], state, found["gives_configs"])


def by_id(conn: psycopg.Connection, task: int) -> Task | None:
    rows = fetch(conn, SQL.select_task + "\n" + SQL.with_id, {"task": task})
    return task_from_row(rows[0]) if rows else None


def by_name(conn: psycopg.Connection, name: str) -> Task | None:
    rows = fetch(conn, SQL.select_task + "\n" + SQL.with_name, {"name": name})
    return task_from_row(rows[0]) if rows else None


def listed(conn: psycopg.Connection, *, owner: str | None, every: bool) -> list[Task]:
    """Return a user's tasks by id (everybody's for None), without DONE ones unless `every`."""
    params = {"owner": owner, "all": every}
    rows = fetch(conn, SQL.select_task + "\n" + SQL.listed, params)
    return [task_from_row(row) for row in rows]


def newest(
    conn: psycopg.Connection,
    *,
    owner: str | None,
    every: bool,
    state: TaskState | None,
    name: str | None,
    before: int | None,
    limit: int | None,
) -> list[Task]:
    """Return the newest of the tasks that match, by id. DONE ones only if `every`, or if that state is asked for."""
    params = {
        "owner": owner,
        "all": every or state is not None,
        "state": state,
        "name": name,
        "before": before,
        "limit": limit,
    }
    rows = fetch(conn, SQL.select_task + "\n" + SQL.newest, params)
    return [task_from_row(row) for row in reversed(rows)]


def id_of_name(conn: psycopg.Connection, name: str) -> int | None:
    rows = fetch(conn, SQL.id_of_name, {"name": name})
    return int(rows[0]["id"]) if rows else None


def ids_between(conn: psycopg.Connection, first: int, last: int) -> list[int]:
    rows = fetch(conn, SQL.ids_between, {"first": first, "last": last})
    return [int(row["id"]) for row in rows]


def names(conn: psycopg.Connection) -> list[str]:
    """Return the names of the newest tasks, for a suggestion."""
    return [row["name"] for row in fetch(conn, SQL.names)]


def taken(conn: psycopg.Connection, names: Collection[str]) -> set[str]:
    """Return those of the names that tasks have."""
    return {row["name"] for row in fetch(conn, SQL.names_taken, {"names": list(names)})}


def newest_id(conn: psycopg.Connection) -> int | None:
    newest: int | None = fetch(conn, SQL.newest_id)[0]["id"]
    return newest


def now(conn: psycopg.Connection) -> datetime:
    """Return the database's time, which is used for all timestamps."""
    at: datetime = fetch(conn, SQL.now)[0]["now"]
    return at


def nodes_yet_to_answer(
    conn: psycopg.Connection, tasks: Collection[int]
) -> list[tuple[int, str, bool]]:
    """Return nodes that may still start a job of held tasks: the task, the node, and whether its pilot is online."""
    rows = fetch(conn, SQL.nodes_yet_to_answer, {"tasks": list(tasks)})
    return [(row["task"], row["node"], row["online"]) for row in rows]


def any_claimed(conn: psycopg.Connection, task: int) -> bool:
    """Whether a keeper holds a job of a task."""
    return bool(fetch(conn, SQL.any_claimed, {"task": task})[0]["claimed"])
