"""Data sets: reading them, and writing a version with its manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain import file_choice
from orchestra.domain.models.datasets import DataSet, DataSetVersion, Manifest, ManifestEntry
from orchestra.domain.states import TaskState
from orchestra.store.driver.database import fetch, set_statement_timeout
from orchestra.store.driver.sql import load

PATIENCE = 600.0
"""Seconds for a manifest of a million rows."""

SQL = load("datasets")


@dataclass(frozen=True, slots=True)
class TaskName:
    """A task that another operation conflicts with."""

    id: int
    name: str
    state: TaskState


def by_name(conn: psycopg.Connection, name: str) -> DataSet | None:
    """The data set of that name with its newest version, or None."""
    rows = fetch(conn, SQL.select_dataset + "\n" + SQL.named, {"name": name})
    return _dataset(rows[0]) if rows else None


def by_id(conn: psycopg.Connection, dataset: int) -> DataSet | None:
    """The same by its number; None if it has been deleted."""
    rows = fetch(conn, SQL.select_dataset + "\n" + SQL.with_id, {"dataset": dataset})
    return _dataset(rows[0]) if rows else None


def of_owner(conn: psycopg.Connection, owner: str | None) -> list[DataSet]:
    """Return a user's data sets by name; everybody's for None."""
    rows = fetch(conn, SQL.select_dataset + "\n" + SQL.of_owner, {"owner": owner})
    return [_dataset(row) for row in rows]


def _dataset(row: Mapping[str, Any]) -> DataSet:
    return DataSet(**{**row, "choice": file_choice.from_json(row["choice"])})


def of_root(
    conn: psycopg.Connection, owner_id: int, root: str, source: str | None
) -> list[DataSet]:
    """Return a user's data sets whose newest version has this root, or was uploaded from the same source."""
    params = {"owner": owner_id, "root": root, "source": source}
    rows = fetch(conn, SQL.select_dataset + "\n" + SQL.of_root, params)
    return [_dataset(row) for row in rows]


def versions(conn: psycopg.Connection, dataset: int, *, limit: int) -> list[DataSetVersion]:
    """Return the newest versions of a data set, newest first."""
    rows = fetch(conn, SQL.versions, {"dataset": dataset, "limit": limit})
    return [DataSetVersion(**row) for row in rows]


def roots_in_use(conn: psycopg.Connection, prefix: str) -> set[str]:
    """Return the roots of all versions that begin with a prefix, those kept for ended tasks included."""
    return {row["root"] for row in fetch(conn, SQL.roots_in_use, {"prefix": prefix})}


def names(conn: psycopg.Connection) -> list[str]:
    """Return the names of the newest data sets, for a suggestion."""
    return [row["name"] for row in fetch(conn, SQL.names)]


def taken(conn: psycopg.Connection, names: Collection[str]) -> set[str]:
    """Return those of the names that data sets have."""
    return {row["name"] for row in fetch(conn, SQL.names_taken, {"names": list(names)})}


def lock(conn: psycopg.Connection, dataset: int) -> bool:
    """Lock a data set against other changes; False if it is gone."""
    return bool(fetch(conn, SQL.lock_dataset, {"dataset": dataset}))


def share(conn: psycopg.Connection, datasets: Iterable[int]) -> bool:
    """Keep data sets from being deleted until the transaction ends; False if one is gone."""
    wanted = sorted(set(datasets))
    return len(fetch(conn, SQL.share_datasets, {"datasets": wanted})) == len(wanted)


def add(conn: psycopg.Connection, name: str, owner_id: int) -> int | None:
    """Create a data set without versions; None if the name is taken."""
    rows = fetch(conn, SQL.add_dataset, {"name": name, "owner": owner_id})
    return int(rows[0]["id"]) if rows else None


def add_version(conn: psycopg.Connection, dataset: int | None, manifest: Manifest) -> int:
    """Add a version with its files, in order, and the texts of some, and return its id."""
    set_statement_timeout(conn, PATIENCE)
    choice = file_choice.as_json(manifest.choice)
    params = {
        "dataset": dataset,
        "root": manifest.root,
        "is_folder": manifest.is_folder,
        "files": len(manifest.entries),
        "bytes": manifest.bytes,
        "choice": choice and Jsonb(choice),
        "source": manifest.source,
    }
    version = int(fetch(conn, SQL.add_version, params)[0]["id"])
    with conn.cursor() as cursor, cursor.copy(SQL.copy_files) as copy:
        copy.set_types(["int4", "int4", "text", "int8", "int8", "bytea"])
        for index, entry in enumerate(manifest.entries):
            copy.write_row((version, index, entry.path, entry.size, entry.mtime_ns, entry.sha256))
    with conn.cursor() as cursor, cursor.copy(SQL.copy_texts) as copy:
        copy.set_types(["int4", "int4", "text"])
        for index, text in manifest.texts.items():
            copy.write_row((version, index, text))
    return version


def remove_version(conn: psycopg.Connection, version: int) -> None:
    """Delete a version that nothing refers to."""
    conn.execute(SQL.remove_version, {"version": version})


def files(
    conn: psycopg.Connection, version: int, *, first: int = 0, limit: int = 1000
) -> list[ManifestEntry]:
    """Return a page of a manifest from index `first` on."""
    params = {"version": version, "first": first, "limit": limit}
    return [ManifestEntry(**row) for row in fetch(conn, SQL.files, params)]


def all_files(conn: psycopg.Connection, version: int) -> Iterator[ManifestEntry]:
    """Return a whole manifest in order."""
    with conn.cursor() as cursor:
        for row in cursor.execute(SQL.all_files, {"version": version}):
            yield ManifestEntry(*row)


def live_users(conn: psycopg.Connection, dataset: int) -> list[TaskName]:
    """Return the live tasks that use any version of a data set."""
    rows = fetch(conn, SQL.live_users, {"dataset": dataset})
    return [TaskName(row["id"], row["name"], TaskState(row["state"])) for row in rows]


def remove(conn: psycopg.Connection, dataset: int) -> bool:
    """Delete a locked data set; if a task refers to it, keep its manifest and only free its name.

    Returns whether it was deleted entirely.
    """
    params = {"dataset": dataset}
    if fetch(conn, SQL.ended_users, params)[0]["used"]:
        conn.execute(SQL.hide_dataset, params)
        return False
    set_statement_timeout(conn, PATIENCE)
    conn.execute(SQL.remove_files, params)
    conn.execute(SQL.remove_dataset, params)
    return True
