"""Tasks in the database: making them with their jobs, and reading them. `moves.py` changes their state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.models.events import Event
from orchestra.domain.models.tasks import After, Counts, Hold, Limit, Policy, Resources, Task
from orchestra.domain.states import Cause, Intent, Queue, TaskState
from orchestra.store.database import fetch
from orchestra.store.datasets import TaskName
from orchestra.store.sql import load

SQL = load("tasks")
EFFORT_SAMPLE = 10_000
"""Attempts that are read to know what a task has taken."""

# What is called the same in a row and in a value.
_TASK = (
    "id", "name", "owner", "account", "command", "image", "volume", "folder", "complete_file", "metrics_file",
    "config_version_id", "jobs", "run", "created_at", "state_at", "rank", "test_started_at", "work_started_at",
    "ended_at", "typical_seconds",
)  # fmt: skip
_FIGURES = tuple(field.name for field in fields(Counts))
"""As the fields of Counts stand."""
_POLICY = ("test_jobs", "test_for", "retries", "timeout", "grace", "priority", "resume")
_NEW_TASK = (
    "name", "owner_id", "account", "command", "image", "config_version_id", "volume", "folder", "complete_file",
    "metrics_file", "jobs",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewTaskRow:
    """What is stored of a task that is made."""

    name: str
    owner_id: int
    account: str
    queue: Queue
    command: str
    image: str | None
    config_version_id: int
    volume: str
    folder: str
    complete_file: str | None
    env: Mapping[str, str]
    policy: Policy
    resources: Resources
    jobs: int
    metrics_file: str
    binds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The version that a task takes files from; `dataset` is None for an older task's outputs."""

    dataset: str | None
    version: int
    root: str
    is_folder: bool
    files: int
    tag: str = "IN"
    only_file: str | None = None


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: how many among the first thousand, and the first job of them."""

    cause: Cause
    exit_status: int | None
    signal: int | None
    jobs: int
    example: int


@dataclass(frozen=True, slots=True)
class Effort:
    """What attempts have taken so far; for large tasks the first 10,000 of them."""

    attempts: int
    cpu_seconds: float | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Supply:
    """What one node could do for a job."""

    name: str
    cpu_enabled: int
    gpu_enabled: int
    drained: bool
    online: bool
    account: str | None = None
    is_root: bool = False
    serve_all: bool = False
    runtimes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A line of `task queue`. `node` and the times stand only with a job that a node holds."""

    task_id: int
    task: str
    owner: str
    ordinal: int
    is_test: bool
    node: str | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None


def task_from_row(row: Mapping[str, Any]) -> Task:
    """The door from a row of `select_task` to a Task."""
    limit = Limit(row["max_fails"], row["max_fails_percent"])
    return Task(
        **{key: row[key] for key in _TASK},
        env=row["env"] or {},
        binds=tuple(row["binds"]),
        queue=Queue(row["queue"]),
        state=TaskState(row["state"]),
        policy=Policy(
            **{key: row[key] for key in _POLICY}, max_fails=None if limit == Limit() else limit
        ),
        resources=Resources(row["cores"], row["gpus"], row["memory_bytes"]),
        counts=Counts(*[row[figure] for figure in _FIGURES]),
        hold=Hold(row["held_at"], row["held_by"], row["held_reason"]) if row["held_at"] else None,
        intent=Intent(row["intent"]) if row["intent"] else None,
        after=tuple(_after(each) for each in row["after"] or ()),
    )


def _after(found: Mapping[str, Any]) -> After:
    state = TaskState(found["state"]) if found["state"] else None
    return After(found["id"], found["name"], state, found["gives_configs"])


def by_id(conn: psycopg.Connection, task: int) -> Task | None:
    rows = fetch(conn, SQL.select_task + "\n" + SQL.with_id, {"task": task})
    return task_from_row(rows[0]) if rows else None


def by_name(conn: psycopg.Connection, name: str) -> Task | None:
    rows = fetch(conn, SQL.select_task + "\n" + SQL.with_name, {"name": name})
    return task_from_row(rows[0]) if rows else None


def listed(conn: psycopg.Connection, *, owner: str | None, every: bool) -> list[Task]:
    """Give a person's tasks by id (everybody's for None), without the DONE ones unless `every`."""
    params = {"owner": owner, "all": every}
    rows = fetch(conn, SQL.select_task + "\n" + SQL.listed, params)
    return [task_from_row(row) for row in rows]


def id_of_name(conn: psycopg.Connection, name: str) -> int | None:
    rows = fetch(conn, SQL.id_of_name, {"name": name})
    return int(rows[0]["id"]) if rows else None


def ids_between(conn: psycopg.Connection, first: int, last: int) -> list[int]:
    rows = fetch(conn, SQL.ids_between, {"first": first, "last": last})
    return [int(row["id"]) for row in rows]


def names(conn: psycopg.Connection) -> list[str]:
    """Give the names of the newest tasks, for a suggestion."""
    return [row["name"] for row in fetch(conn, SQL.names)]


def newest_id(conn: psycopg.Connection) -> int | None:
    newest: int | None = fetch(conn, SQL.newest_id)[0]["id"]
    return newest


def now(conn: psycopg.Connection) -> datetime:
    """Give the database's time, which stamps everything."""
    at: datetime = fetch(conn, SQL.now)[0]["now"]
    return at


def add(
    conn: psycopg.Connection,
    new: NewTaskRow,
    inputs: Mapping[str, int],
    *,
    attempts: int = 0,
    configs_to_come: bool = False,
) -> int | None:
    """Make a task with its jobs, in the caller's transaction; None when the name is taken.

    Args:
        inputs: the version of each tag but %IN and %OUT.
        attempts: the number behind which the jobs' attempts are counted on.
        configs_to_come: the files of the config version are written down later.
    """
    conn.execute(SQL.patience)
    rows = fetch(conn, SQL.add_task, _task_params(new))
    if not rows:
        return None
    task = int(rows[0]["id"])
    params = {
        "task": task,
        "version": new.config_version_id,
        "jobs": new.jobs,
        "attempts": attempts,
    }
    conn.execute(
        SQL.add_inputs, {"task": task, "tags": list(inputs), "versions": list(inputs.values())}
    )
    conn.execute(SQL.add_jobs_to_come if configs_to_come else SQL.add_jobs, params)
    conn.execute(SQL.add_counts, params)
    return task


def _task_params(new: NewTaskRow) -> dict[str, Any]:
    limit = new.policy.max_fails or Limit()
    return {
        **{key: getattr(new, key) for key in _NEW_TASK},
        **{key: getattr(new.policy, key) for key in _POLICY},
        "queue": new.queue,
        "env": Jsonb(dict(new.env)),
        "max_fails": limit.count,
        "max_fails_percent": limit.percent,
        "cores": new.resources.cores,
        "gpus": new.resources.gpus,
        "memory_bytes": new.resources.memory_bytes,
        "binds": list(new.binds),
    }


def add_outputs_version(conn: psycopg.Connection, task: Task) -> int:
    """Make a version of the outputs of a task's done jobs, in job order; gives its id."""
    params = {"root": task.folder, "files": task.counts.done}
    version = int(fetch(conn, SQL.add_outputs_version, params)[0]["id"])
    conn.execute(SQL.patience)
    conn.execute(SQL.outputs_version, {"version": version, "task": task.id})
    return version


def add_version_to_come(conn: psycopg.Connection, task: Task) -> int:
    """Make a version of the outputs of all jobs of a task that is not over yet, still without files; gives its id."""
    params = {"root": task.folder, "files": task.jobs}
    return int(fetch(conn, SQL.add_outputs_version, params)[0]["id"])


def first_outputs(conn: psycopg.Connection, task: int, limit: int) -> list[str]:
    """Give the folders of a task's first done jobs, below its own."""
    return [row["path"] for row in fetch(conn, SQL.first_outputs, {"task": task, "limit": limit})]


def outputs_users(conn: psycopg.Connection, folder: str) -> list[TaskName]:
    """Give the live tasks that read what another task wrote below `folder`."""
    rows = fetch(conn, SQL.outputs_users, {"folder": folder})
    return [TaskName(row["id"], row["name"], TaskState(row["state"])) for row in rows]


def inputs(conn: psycopg.Connection, task: int) -> list[Source]:
    """Give what stands for each tag of a task but %IN and %OUT."""
    return [Source(**row) for row in fetch(conn, SQL.inputs, {"task": task})]


def config(conn: psycopg.Connection, task: int) -> Source:
    """Give where a task's configs come from."""
    return Source(**fetch(conn, SQL.config, {"task": task})[0])


def failures(conn: psycopg.Connection, task: int) -> list[FailureGroup]:
    """Give a task's failures by kind, most frequent first."""
    return [
        FailureGroup(**{**row, "cause": Cause(row["cause"])})
        for row in fetch(conn, SQL.failures, {"task": task})
    ]


def effort(conn: psycopg.Connection, task: int) -> Effort:
    return Effort(**fetch(conn, SQL.effort, {"task": task, "limit": EFFORT_SAMPLE})[0])


def events(conn: psycopg.Connection, task: int, *, limit: int) -> list[Event]:
    """Give the newest events of a task itself (not of its jobs), oldest first."""
    rows = fetch(conn, load("events").of_task, {"task": task, "limit": limit})
    return [Event(**row) for row in reversed(rows)]


def any_claimed(conn: psycopg.Connection, task: int) -> bool:
    """Whether a keeper holds a job of a task."""
    return bool(fetch(conn, SQL.any_claimed, {"task": task})[0]["claimed"])


def supply(conn: psycopg.Connection) -> list[Supply]:
    """Give what each node could do for a job."""
    return [
        Supply(
            **{
                **row,
                "is_root": bool(row["is_root"]),
                "serve_all": bool(row["serve_all"]),
                "runtimes": tuple(row["runtimes"]),
            }
        )
        for row in fetch(conn, SQL.supply)
    ]


def conductor_alive(conn: psycopg.Connection) -> bool:
    """Whether somebody carries out the conductor's duties now."""
    return any(row["alive"] for row in fetch(conn, SQL.conductor))


def running_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int = 1000) -> list[QueuedJob]:
    """Give the jobs of a queue that nodes hold, longest running first."""
    rows = fetch(conn, SQL.running_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]


def waiting_jobs(conn: psycopg.Connection, queue: Queue, *, limit: int) -> list[QueuedJob]:
    """Give the next jobs of a queue in the order in which pilots take them."""
    rows = fetch(conn, SQL.waiting_jobs, {"queue": queue, "limit": limit})
    return [QueuedJob(**row) for row in rows]
