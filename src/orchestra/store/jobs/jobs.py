"""Reading jobs and attempts, page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import psycopg

from orchestra.domain import log_lines
from orchestra.domain.failure_reasons import Reason
from orchestra.domain.models.jobs import Attempt, Job, JobPaths
from orchestra.domain.models.results import Result
from orchestra.domain.models.sources import Source
from orchestra.domain.states import Cause, JobState, JobStatus
from orchestra.domain.usage import NOT_MEASURED, Usage
from orchestra.store.driver.columns import Ints
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("jobs/jobs")
PAGE = 10_000
"""Jobs whose folders are read at a time."""
_FEW = 500
"""Jobs whose texts are read at a time: at most 10 MB."""


_CHOICES = {
    None: SQL.choose_all,
    JobStatus.REGISTERED: SQL.choose_registered,
    JobStatus.ASSIGNED: SQL.choose_assigned,
    JobStatus.TESTING: SQL.choose_claimed,
    JobStatus.RUNNING: SQL.choose_claimed,
    JobStatus.KILL: SQL.choose_claimed,
    JobStatus.DONE: SQL.choose_done,
    JobStatus.FAILED: SQL.choose_notable,
    JobStatus.KILLED: SQL.choose_notable,
    JobStatus.BROKEN: SQL.choose_notable,
}


def listing_statement(status: JobStatus | None, *, few_done: bool = False) -> Any:
    """Return the statement that lists a task's jobs, those with one status or all."""
    choice = SQL.choose_few_done if few_done else _CHOICES[status]
    return "with chosen as (\n" + choice + "\n)\n" + SQL.show_chosen


def listed(
    conn: psycopg.Connection,
    task: int,
    status: JobStatus | None,
    *,
    first: int,
    limit: int,
    few_done: bool = False,
) -> list[Job]:
    """Return the jobs of a task from index `first` on, at most `limit`.

    `few_done` says that few of many jobs are done, so that they are found by their attempts.
    """
    params = {
        "task": task,
        "first": first,
        "limit": limit,
        "status": status,
        "state": status,
    }
    statement = listing_statement(status, few_done=few_done)
    return [job_from_row(row) for row in fetch(conn, statement, params)]


@dataclass(frozen=True, slots=True)
class Filter:
    """What a search for jobs is for, besides their status.

    `config` is a regular expression, and so is `line`, for the last bytes of logs (`domain/log_lines.py`).
    """

    node: str | None = None
    config: str | None = None
    since: datetime | None = None
    reason: Reason | None = None
    line: str | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of `choose_matching`."""
        reason = self.reason
        return {
            "node": self.node,
            "config": self.config,
            "since": self.since,
            "cause": reason.cause if reason else None,
            "exit_status": reason.exit_status if reason else None,
            "signal": reason.signal if reason else None,
            "line": self.line,
            "bytes": log_lines.END,
        }


@dataclass(frozen=True, slots=True)
class Matches:
    """Jobs that match among `looked` jobs of a task, the last of which was number `looked_to`."""

    jobs: list[Job]
    looked: int
    looked_to: int | None


@dataclass(frozen=True, slots=True)
class JobToChange:
    """What a change of a job depends on."""

    index: int
    state: JobState
    removed: bool


@dataclass(frozen=True, slots=True)
class Changeable:
    """The same as `Matches`, for changes of all jobs that match."""

    jobs: list[JobToChange]
    looked: int
    looked_to: int | None


def search_statement(
    status: JobStatus | None, *, few_done: bool = False, shown: bool = True
) -> Any:
    """Return the statement that looks for jobs with one status, or all, in a part of a task."""
    choice = SQL.choose_few_done if few_done else _CHOICES[status]
    found = f"with looked as materialized (\n{choice}\n), chosen as (\n{SQL.choose_matching}\n)"
    if not shown:
        return f"{found}\n{SQL.list_matching}"
    return f"{found}, shown as (\n{SQL.show_chosen}\n)\n{SQL.show_matching}"


def matching(
    conn: psycopg.Connection,
    task: int,
    status: JobStatus | None,
    wanted: Filter,
    *,
    first: int,
    look: int,
    most: int,
    few_done: bool = False,
) -> Matches:
    """Look at `look` jobs of a task from index `first` on, and return those wanted, at most `most`."""
    params = _search(task, status, wanted, first, look) | {"most": most}
    rows = fetch(conn, search_statement(status, few_done=few_done), params)
    looked, looked_to = rows[0]["looked"], rows[0]["looked_to"]
    found = []
    for row in rows:
        del row["looked"], row["looked_to"]
        if row["task_id"] is not None:
            found.append(job_from_row(row))
    return Matches(found, looked, looked_to)


def changeable(
    conn: psycopg.Connection,
    task: int,
    status: JobStatus,
    wanted: Filter,
    *,
    first: int,
    look: int,
    few_done: bool,
) -> Changeable:
    """Look at `look` jobs of a task from index `first` on, and return all those wanted."""
    params = _search(task, status, wanted, first, look) | {"most": look}
    rows = fetch(conn, search_statement(status, few_done=few_done, shown=False), params)
    jobs = [
        JobToChange(row["index"], JobState(row["state"]), row["removed"])
        for row in rows
        if row["index"] is not None
    ]
    return Changeable(jobs, rows[0]["looked"], rows[0]["looked_to"])


def _search(
    task: int, status: JobStatus | None, wanted: Filter, first: int, look: int
) -> dict[str, Any]:
    part = {"task": task, "first": first, "limit": look, "status": status, "state": status}
    return {**part, **wanted.params}


def by_key(conn: psycopg.Connection, task: int, index: int) -> Job | None:
    statement = "with chosen as (\n" + SQL.choose_one + "\n)\n" + SQL.show_chosen
    rows = fetch(conn, statement, {"task": task, "index": index})
    return job_from_row(rows[0]) if rows else None


def job_from_row(row: Mapping[str, Any]) -> Job:
    """Build a Job from a row of `show_chosen`."""
    return Job(
        **{
            **row,
            "state": JobState(row["state"]),
            "cause": Cause(row["cause"]) if row["cause"] else None,
            "config": row["config"] or "",
        }
    )


def attempts(conn: psycopg.Connection, task: int, index: int, *, task_folder: str) -> list[Attempt]:
    """Return all attempts of a job, oldest first, without their logs."""
    paths = JobPaths(PurePosixPath(task_folder), index)
    found = []
    for row in fetch(conn, SQL.attempts, {"task": task, "index": index}):
        folder = paths.attempt(row.pop("folder_number"))
        row["node"] = row["node"] or "a deleted node"
        row["cause"] = Cause(row["cause"]) if row["cause"] else None
        usage, models = Usage.taken_from(row), _models(row["devices"], row.pop("found_devices"))
        found.append(Attempt(**row, usage=usage, device_models=models, folder=str(folder)))
    return found


def _models(devices: str | None, found: list[dict[str, Any]] | None) -> tuple[str, ...]:
    """Return the model of each device, "" for one that its node does not have now; nothing if none is known."""
    known = {device.get("uuid"): device.get("model") or "" for device in found or ()}
    models = tuple(known.get(device, "") for device in devices.split(",")) if devices else ()
    return models if any(models) else ()


def command(conn: psycopg.Connection, attempt: Attempt) -> tuple[str, dict[str, str]] | None:
    """Return the command of an attempt's revision, and the path of each tag; None if its config is not known."""
    key = {"task": attempt.task_id, "index": attempt.index, "number": attempt.number}
    rows = fetch(conn, SQL.attempt_command, key)
    if not rows:
        return None
    params = {"task": attempt.task_id, "revision": attempt.revision}
    inputs = [Source(**row) for row in fetch(conn, SQL.revision_inputs, params)]
    paths = {source.tag: source.path for source in inputs}
    return rows[0]["command"], paths | {"IN": rows[0]["config"], "OUT": attempt.folder}


def log_tail(
    conn: psycopg.Connection, task: int, index: int, number: int
) -> tuple[bytes | None, int | None]:
    """Return the end of an attempt's log as reported, and the length of the whole log in bytes."""
    rows = fetch(conn, SQL.log_tail, {"task": task, "index": index, "number": number})
    return (rows[0]["log_tail"], rows[0]["log_bytes"]) if rows else (None, None)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The stored end of a log from a byte on; None if it is not stored. With `grows`, the pilot can report more."""

    offset: int | None
    data: bytes | None
    length: int | None
    over: bool
    grows: bool


def log_chunk(
    conn: psycopg.Connection, task: int, index: int, number: int, offset: int
) -> Chunk | None:
    """The stored part of an attempt's log from byte `offset` on, or None."""
    params = {"task": task, "index": index, "number": number, "offset": offset}
    rows = fetch(conn, SQL.log_chunk, params)
    return Chunk(**rows[0]) if rows else None


def attempt_folders(conn: psycopg.Connection, task: int, jobs: int) -> Iterator[tuple[int, int]]:
    """Yield (index, folder number) of every folder of a task's attempts."""
    yield from _pages(conn, SQL.attempt_folders, task, jobs)


def superseded_folders(conn: psycopg.Connection, task: int, jobs: int) -> Iterator[tuple[int, int]]:
    """Yield (index, folder number) of the folders that no result and no running attempt needs."""
    yield from _pages(conn, SQL.superseded_folders, task, jobs)


def results(conn: psycopg.Connection, task: int, jobs: int) -> list[Result]:
    """Return the done attempt of every job that has one, in job order."""
    found = []
    for first in range(0, jobs, PAGE):
        params = {"task": task, "first": first, "next": first + PAGE}
        found += _results(conn, SQL.of_page, params)
    return found


def running(conn: psycopg.Connection, task: int) -> list[Result]:
    """Return the attempts of a task that run, in job order."""
    return [
        Result(usage=NOT_MEASURED, **{**row, "state": JobStatus(row["state"])})
        for row in fetch(conn, SQL.select_running, {"task": task})
    ]


def used_by_running(
    conn: psycopg.Connection, task: int, indexes: Sequence[int] | None = None
) -> tuple[int, float]:
    """Return how many jobs of a task run, of all or of some, and the slot seconds that they have used so far."""
    params = {"task": task, "indexes": None if indexes is None else Ints(indexes)}
    row = fetch(conn, SQL.used, params)[0]
    return row["jobs"], row["seconds"]


def some_results(
    conn: psycopg.Connection, task: int, indexes: Sequence[int], size: int
) -> list[Result]:
    """Return the results of some jobs, in job order; only of the first ones whose texts have `size` bytes together."""
    found: list[Result] = []
    for first in range(0, len(indexes), _FEW):
        some = Ints(indexes[first : first + _FEW])
        page = _results(conn, SQL.of_jobs, {"task": task, "indexes": some})
        size -= sum(len(text) for each in page for text in (each.metrics, each.config) if text)
        if size < 0:
            break
        found += page
    return sorted(found, key=lambda result: result.index)


def _results(conn: psycopg.Connection, which: Any, params: Mapping[str, Any]) -> list[Result]:
    rows = fetch(conn, SQL.select_results + "\n" + which, params)
    return [Result(usage=Usage.taken_from(row), **row) for row in rows]


def _pages(
    conn: psycopg.Connection, statement: Any, task: int, jobs: int
) -> Iterator[tuple[int, int]]:
    for first in range(0, jobs, PAGE):
        params = {"task": task, "first": first, "next": first + PAGE}
        for row in fetch(conn, statement, params):
            yield row["ordinal"], row["folder_number"]
