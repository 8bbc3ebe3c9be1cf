"""The configs of tasks that change while they live, and the jobs that come and go with them.

Every function runs inside the caller's transaction. Those that change something require the task to be locked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.config_lists import ConfigFile, Layout
from orchestra.domain.models.tasks import Origin
from orchestra.store.driver.columns import Ints, Texts
from orchestra.store.driver.database import fetch, set_statement_timeout
from orchestra.store.driver.sql import load
from orchestra.store.tasks.creation import PATIENCE

SQL = load("tasks/config_lists")
_PAGE = 50_000
"""Files that one statement returns, well within its time limit."""


@dataclass(frozen=True, slots=True)
class PresentList:
    """A task's list of configs: the version that holds it, and the version of a data set that it was made of.

    `dataset` is None where the configs are an older task's outputs.
    """

    version: int
    revision: int
    base: int
    dataset: int | None


@dataclass(frozen=True, slots=True)
class InputVersion:
    """The version of a data set that a tag of a task stands for."""

    tag: str
    dataset: int
    number: int


def present(conn: psycopg.Connection, task: int) -> PresentList:
    """Return where a task's configs are."""
    return PresentList(**fetch(conn, SQL.present_list, {"task": task})[0])


def input_versions(conn: psycopg.Connection, task: int) -> list[InputVersion]:
    """Return what each tag of a task stands for, except %IN and %OUT."""
    return [InputVersion(**row) for row in fetch(conn, SQL.input_versions, {"task": task})]


def of_version(conn: psycopg.Connection, version: int) -> list[ConfigFile]:
    """Return the files of a version, in order: of a task's list, by the number of the job."""
    found = list[ConfigFile]()
    known = dict[str, str]()  # there may be a million of them, with one root
    with conn.cursor() as cursor:
        while len(found) % _PAGE == 0:
            params = {"version": version, "first": len(found), "next": len(found) + _PAGE}
            page = cursor.execute(SQL.of_version, params).fetchall()
            if not page:
                break
            found += [
                ConfigFile(f"{root}/{path}", sha256, (version, place), known.setdefault(root, root))
                for root, path, sha256, place in page
            ]
    return found


def removed(conn: psycopg.Connection, task: int) -> frozenset[int]:
    """Return the numbers of the removed jobs of a task."""
    return frozenset(row["ordinal"] for row in fetch(conn, SQL.removed, {"task": task}))


def add_list(
    conn: psycopg.Connection, layout: Layout, configs: Sequence[ConfigFile], *, based_on: int
) -> int:
    """Store a list of configs in the order of the jobs, and return its version."""
    set_statement_timeout(conn, PATIENCE)
    made = {"root": layout.root, "files": len(configs), "based_on": based_on}
    version = int(fetch(conn, SQL.add_list, made)[0]["id"])
    params = {
        "list": version,
        "versions": Ints([config.place[0] for config in configs]),
        "places": Ints([config.place[1] for config in configs]),
        "of": Ints(layout.folders),
        "folders": Texts(layout.folders.values()),
    }
    conn.execute(SQL.add_files, params)
    conn.execute(SQL.add_texts, params)
    conn.execute(SQL.count_bytes, params)
    return version


def use_list(conn: psycopg.Connection, task: int, version: int) -> None:
    """Let a locked task read another list of configs."""
    conn.execute(SQL.use_list, {"task": task, "list": version})


def use_input(conn: psycopg.Connection, task: int, tag: str, version: int) -> None:
    """Let a tag of a locked task stand for another version."""
    conn.execute(SQL.use_input, {"task": task, "tag": tag, "version": version})


def use_origin(conn: psycopg.Connection, task: int, origin: Origin) -> None:
    """Record where the program of a locked task comes from now."""
    conn.execute(SQL.use_origin, {"task": task, "origin": Jsonb(asdict(origin))})


def add_jobs(conn: psycopg.Connection, task: int, first: int, jobs: int) -> None:
    """Add jobs to a locked task, numbered from `first` on."""
    set_statement_timeout(conn, PATIENCE)
    params = {"task": task, "first": first, "jobs": jobs}
    conn.execute(SQL.add_jobs, params)
    conn.execute(SQL.count_jobs, params)


def remove_jobs(conn: psycopg.Connection, task: int, jobs: Iterable[int]) -> None:
    """Mark jobs whose configs are gone. Waiting ones are killed, living ones are asked to end."""
    set_statement_timeout(conn, PATIENCE)
    conn.execute(SQL.remove_jobs, {"task": task, "jobs": Ints(jobs)})


def return_jobs(conn: psycopg.Connection, task: int, jobs: Iterable[int]) -> None:
    """Let removed jobs run again whose configs are back."""
    set_statement_timeout(conn, PATIENCE)
    conn.execute(SQL.return_jobs, {"task": task, "jobs": Ints(jobs)})


def done_ones(conn: psycopg.Connection, task: int, jobs: Iterable[int]) -> list[int]:
    """Return those of the jobs that are done, in order."""
    rows = fetch(conn, SQL.done_ones, {"task": task, "jobs": Ints(jobs)})
    return [row["ordinal"] for row in rows]


def restart_failed(conn: psycopg.Connection, task: int) -> int:
    """Let the jobs of a live task that failed or were killed begin anew, and return how many."""
    set_statement_timeout(conn, PATIENCE)
    restarted = conn.execute(SQL.restart_failed, {"task": task}).rowcount
    conn.execute(SQL.forgive, {"task": task})
    return restarted


def waits_for_outputs(conn: psycopg.Connection, task: int) -> tuple[int, str] | None:
    """Return a task that waits for the outputs of this one's jobs."""
    rows = fetch(conn, SQL.waits_for_outputs, {"task": task})
    return (rows[0]["id"], rows[0]["name"]) if rows else None
