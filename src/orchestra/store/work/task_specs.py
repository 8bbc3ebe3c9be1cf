"""What the jobs of a claim need in order to start: their tasks, configs and input files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import psycopg

from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, InputFile, SharedFiles, TaskSpec
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.work import attempts

SQL = load("work/task_specs")
DATASETS = load("datasets")
FILES_AT_ONCE = 5_000
"""Rows of a manifest that one statement returns. A slow reader of more could exceed the statement's time limit."""


def input_file(root: str, is_folder: bool, *file: Any) -> InputFile:
    entry = ManifestEntry(*file)
    return InputFile(f"{root}/{entry.path}", entry, root) if is_folder else InputFile(root, entry)


def configs(conn: psycopg.Connection, keys: Collection[AttemptKey]) -> dict[AttemptKey, InputFile]:
    """Return the configs of attempts, without those that the database does not know."""
    given = list(keys)
    with conn.cursor() as cursor:
        rows = cursor.execute(SQL.configs, attempts.full_key_columns(given)).fetchall()
    return {given[row[0] - 1]: input_file(*row[1:]) for row in rows}


def read(
    conn: psycopg.Connection, tasks: Collection[int], versions: MutableMapping[int, SharedFiles]
) -> dict[int, TaskSpec]:
    """Return what the jobs of each task have in common. `versions` caches the files of data sets."""
    if not tasks:
        return {}
    params = {"tasks": sorted(tasks)}
    inputs: dict[int, dict[str, str]] = {task: {} for task in tasks}
    shared: dict[int, list[SharedFiles]] = {task: [] for task in tasks}
    for row in fetch(conn, SQL.task_inputs, params):
        version, task = row["version_id"], row["task_id"]
        found = versions.get(version) or _version_files(conn, row)
        versions[version] = found
        first = next(iter(found), None) if row["files"] == 1 else None
        inputs[task][row["tag"]] = first.path if first else row["root"]
        shared[task].append(found)
    rows = fetch(conn, SQL.task_specs, params)
    return {row["id"]: _task_spec(row, inputs[row["id"]], shared[row["id"]]) for row in rows}


def _version_files(conn: psycopg.Connection, version: Mapping[str, Any]) -> SharedFiles:
    entries: list[ManifestEntry] = []
    params = {"version": version["version_id"], "limit": FILES_AT_ONCE}
    with conn.cursor() as cursor:
        while len(entries) < version["files"]:
            page = cursor.execute(DATASETS.files, params | {"first": len(entries)}).fetchall()
            if not page:
                break
            entries.extend(ManifestEntry(*row) for row in page)
    return SharedFiles(version["root"], version["is_folder"], tuple(entries))


def _task_spec(
    row: Mapping[str, Any], inputs: Mapping[str, str], shared: Sequence[SharedFiles]
) -> TaskSpec:
    plain = ("id", "name", "owner", "command", "image", "volume", "folder", "complete_file", "env")
    others = ("timeout", "grace", "resume", "metrics_file")
    return TaskSpec(
        **{name: row[name] for name in (*plain, *others)},
        queue=Queue(row["queue"]),
        binds=tuple(row["binds"]),
        inputs=inputs,
        shared=tuple(shared),
        resources=Resources(row["cores"], row["gpus"], row["memory_bytes"]),
    )


def folders(conn: psycopg.Connection, tasks: Collection[int]) -> dict[int, str]:
    """Return the folders of tasks."""
    return {
        row["id"]: row["folder"] for row in fetch(conn, SQL.task_folders, {"tasks": list(tasks)})
    }
