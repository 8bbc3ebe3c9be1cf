"""Metrics that jobs reported. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestra.domain.models.work import Outcome
from orchestra.store.driver.columns import Ints, Texts
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("jobs/metrics")
PAGE = 50_000
"""Jobs whose results one statement compares, in about 0.2 s."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a job's result by name, unordered."""

    index: int
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class JobMetrics:
    """The metrics of a job's result and the text of its config; `path` is the config's, relative to its data set.

    With `is_output` the config is an older task's output, and its text is that job's metrics, under their file's
    name.
    """

    index: int
    metrics: str
    path: str | None
    is_output: bool
    config: str | None
    config_name: str | None


def keep(conn: psycopg.Connection, outcomes: Sequence[Outcome]) -> None:
    """Store the metrics of outcomes."""
    written = [(outcome.key, outcome.metrics) for outcome in outcomes if outcome.metrics]
    if not written:
        return
    params = {
        "tasks": Ints([key.task_id for key, _ in written]),
        "indexes": Ints([key.index for key, _ in written]),
        "numbers": Ints([key.number for key, _ in written]),
        "texts": Texts([metrics.text for _, metrics in written]),
        "values": Texts([metrics.numbers for _, metrics in written]),
    }
    conn.execute(SQL.keep, params)


def forget(conn: psycopg.Connection, seconds: float, limit: int) -> bool:
    """Delete up to `limit` rows that are older than that; False if there are none."""
    return bool(conn.execute(SQL.forget, {"seconds": seconds, "limit": limit}).rowcount)


def first(conn: psycopg.Connection, task: int, limit: int) -> list[Numbers]:
    """Return the numbers of a task's first results, in job order."""
    return [Numbers(**row) for row in fetch(conn, SQL.first, {"task": task, "limit": limit})]


def best(
    conn: psycopg.Connection, task: int, jobs: int, name: str, limit: int, *, highest: bool
) -> list[int]:
    """Return the jobs with the best values of a metric, best first."""
    statement = SQL.highest if highest else SQL.lowest
    return _foremost(conn, statement, {"task": task, "name": name, "limit": limit}, jobs)


def sample(conn: psycopg.Connection, task: int, jobs: int, limit: int) -> list[int]:
    """Return a sample of the jobs with results, spread over a task."""
    return _foremost(conn, SQL.sample, {"task": task, "limit": limit}, jobs)


def _foremost(
    conn: psycopg.Connection, statement: Any, params: Mapping[str, Any], jobs: int
) -> list[int]:
    """Return the jobs with the lowest places. One statement for all results of a large task could time out."""
    foremost: list[tuple[float, int]] = []
    for first in range(0, jobs, PAGE):
        rows = fetch(conn, statement, {**params, "first": first, "next": first + PAGE})
        foremost = sorted([*foremost, *((row["place"], row["ordinal"]) for row in rows)])
        del foremost[params["limit"] :]
    return [index for _, index in foremost]


def of_jobs(conn: psycopg.Connection, task: int, indexes: Collection[int]) -> dict[int, JobMetrics]:
    """Return the metrics of jobs, with the configs that they came from."""
    params = {"task": task, "indexes": Ints(indexes)}
    return {row["index"]: JobMetrics(**row) for row in fetch(conn, SQL.of_jobs, params)}
