"""What the jobs of a claim need in order to start: their tasks, configs and input files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from typing import Any

import psycopg

from orchestra.domain import file_choice
from orchestra.domain.models.datasets import ManifestEntry
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, InputFile, Revision, SharedFiles, TaskSpec
from orchestra.domain.states import Queue
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load
from orchestra.store.tasks.tasks import RESOURCE_COLUMNS
from orchestra.store.work import attempts

SQL = load("work/task_specs")
DATASETS = load("datasets")
FILES_AT_ONCE = 5_000
"""Rows of a manifest that one statement returns. A slow reader of more could exceed the statement's time limit."""


def input_file(root: str, is_folder: bool, *file: Any) -> InputFile:
    entry = ManifestEntry(*file)
    return InputFile(f"{root}/{entry.path}", entry, root) if is_folder else InputFile(root, entry)


def configs(
    conn: psycopg.Connection, keys: Collection[AttemptKey]
) -> dict[AttemptKey, tuple[Revision, InputFile]]:
    """Return the revisions and configs of attempts, without those that the database does not know."""
    given = list(keys)
    with conn.cursor() as cursor:
        rows = cursor.execute(SQL.configs, attempts.full_key_columns(given)).fetchall()
    found: dict[AttemptKey, tuple[Revision, InputFile]] = {}
    for place, revision, *file in rows:
        key = given[place - 1]
        found[key] = Revision(key.task_id, revision), input_file(*file)
    return found


def read(
    conn: psycopg.Connection,
    revisions: Collection[Revision],
    versions: MutableMapping[int, SharedFiles],
) -> dict[Revision, TaskSpec]:
    """Return what the jobs of each revision have in common. `versions` caches the files of data sets."""
    if not revisions:
        return {}
    wanted = sorted(revisions)
    params = {
        "tasks": [revision.task_id for revision in wanted],
        "numbers": [revision.number for revision in wanted],
    }
    inputs: dict[Revision, dict[str, str]] = {revision: {} for revision in wanted}
    shared: dict[Revision, list[SharedFiles]] = {revision: [] for revision in wanted}
    for row in fetch(conn, SQL.task_inputs, params):
        version, revision = row["version_id"], Revision(row["task_id"], row["number"])
        files = versions.get(version) or _version_files(conn, row)
        versions[version] = files
        first = next(iter(files), None) if row["files"] == 1 else None
        inputs[revision][row["tag"]] = first.path if first else row["root"]
        shared[revision].append(files)
    specs: dict[Revision, TaskSpec] = {}
    for row in fetch(conn, SQL.task_specs, params):
        revision = Revision(row["id"], row["revision"])
        specs[revision] = _task_spec(row, inputs[revision], shared[revision])
    return specs


def _version_files(conn: psycopg.Connection, version: Mapping[str, Any]) -> SharedFiles:
    entries: list[ManifestEntry] = []
    params = {"version": version["version_id"], "limit": FILES_AT_ONCE}
    with conn.cursor() as cursor:
        while len(entries) < version["files"]:
            page = cursor.execute(DATASETS.files, params | {"first": len(entries)}).fetchall()
            if not page:
                break
            entries.extend(ManifestEntry(*row) for row in page)
    choice = file_choice.from_json(version["choice"])
    return SharedFiles(version["root"], version["is_folder"], tuple(entries), choice)


def _task_spec(
    row: Mapping[str, Any], inputs: Mapping[str, str], shared: Sequence[SharedFiles]
) -> TaskSpec:
    plain = ("id", "name", "owner", "command", "image", "volume", "folder", "complete_file", "env")
    others = ("timeout", "grace", "resume", "metrics_file", "revision")
    return TaskSpec(
        **{name: row[name] for name in (*plain, *others)},
        queue=Queue(row["queue"]),
        binds=tuple(row["binds"]),
        inputs=inputs,
        shared=tuple(shared),
        resources=Resources(**{name: row[name] for name in RESOURCE_COLUMNS}),
    )


def folders(conn: psycopg.Connection, tasks: Collection[int]) -> dict[int, str]:
    """Return the folders of tasks."""
    return {
        row["id"]: row["folder"] for row in fetch(conn, SQL.task_folders, {"tasks": list(tasks)})
    }
