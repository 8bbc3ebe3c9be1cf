"""Creating tasks with their jobs, and versions of older tasks' outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Limit, Task
from orchestra.domain.states import TaskState
from orchestra.store.datasets import TaskName
from orchestra.store.driver.database import fetch, set_statement_timeout
from orchestra.store.driver.sql import load
from orchestra.store.tasks import placements
from orchestra.store.tasks.tasks import POLICY_COLUMNS

PATIENCE = 120.0
"""Seconds for a statement about a million jobs."""

SQL = load("tasks/tasks")


_NEW_TASK = (
    "name",
    "account",
    "command",
    "image",
    "volume",
    "complete_file",
    "metrics_file",
    "goal",
    "attach_report",
)


def add(
    conn: psycopg.Connection,
    new: NewTask,
    *,
    owner: int,
    folder: str,
    config: int,
    inputs: Mapping[str, int],
    jobs: int,
    attempts: int = 0,
    configs_to_come: bool = False,
) -> int | None:
    """Create a task with its jobs, in the caller's transaction, and return its id; None if the name is taken.

    Args:
        config: the version of a data set whose files are the configs of the `jobs`.
        inputs: the version for each tag except %IN and %OUT.
        attempts: the number after which the jobs' attempts are counted.
        configs_to_come: the files of the config version are stored later.
    """
    set_statement_timeout(conn, PATIENCE)
    made = {"owner_id": owner, "folder": folder, "config_version_id": config, "jobs": jobs}
    made["placement"] = placements.intern(conn, new.placement)
    rows = fetch(conn, SQL.add_task, _task_params(new) | made)
    if not rows:
        return None
    task = int(rows[0]["id"])
    params = {
        "task": task,
        "version": config,
        "jobs": jobs,
        "attempts": attempts,
    }
    conn.execute(
        SQL.add_inputs, {"task": task, "tags": list(inputs), "versions": list(inputs.values())}
    )
    conn.execute(SQL.add_jobs_to_come if configs_to_come else SQL.add_jobs, params)
    conn.execute(SQL.add_counts, params)
    return task


def _task_params(new: NewTask) -> dict[str, Any]:
    limit = new.policy.max_fails or Limit()
    return {
        **{key: getattr(new, key) for key in _NEW_TASK},
        **{key: getattr(new.policy, key) for key in POLICY_COLUMNS},
        "queue": new.queue,
        "env": Jsonb(dict(new.env)),
        "max_fails": limit.count,
        "max_fails_percent": limit.percent,
        **asdict(new.resources),
        "binds": list(new.binds),
        "origin": Jsonb(asdict(new.origin)) if new.origin else None,
    }


def add_outputs_version(conn: psycopg.Connection, task: Task) -> int:
    """Create a version from the outputs of a task's done jobs, in job order, and return its id."""
    params = {"root": task.folder, "files": task.counts.done}
    version = int(fetch(conn, SQL.add_outputs_version, params)[0]["id"])
    set_statement_timeout(conn, PATIENCE)
    conn.execute(SQL.outputs_version, {"version": version, "task": task.id})
    return version


def add_version_to_come(conn: psycopg.Connection, task: Task) -> int:
    """Create a version, still without files, for the outputs of all jobs of a live task, and return its id."""
    params = {"root": task.folder, "files": task.jobs}
    return int(fetch(conn, SQL.add_outputs_version, params)[0]["id"])


def first_outputs(conn: psycopg.Connection, task: int, limit: int) -> list[str]:
    """Return the folders of a task's first done jobs, relative to its own."""
    return [row["path"] for row in fetch(conn, SQL.first_outputs, {"task": task, "limit": limit})]


def outputs_users(conn: psycopg.Connection, folder: str) -> list[TaskName]:
    """Return the live tasks that read what another task wrote below `folder`."""
    rows = fetch(conn, SQL.outputs_users, {"folder": folder})
    return [TaskName(row["id"], row["name"], TaskState(row["state"])) for row in rows]
