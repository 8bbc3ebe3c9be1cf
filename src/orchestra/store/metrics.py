"""What jobs said of their results, in the database. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from orchestra.domain.models.work import Outcome
from orchestra.store.columns import Ints, Texts
from orchestra.store.database import fetch
from orchestra.store.sql import load

SQL = load("metrics")


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers that a job's result has, by name, in no order."""

    ordinal: int
    numbers: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a job said of its result, and what its config says; `path` is the config's below its data set's root.

    `is_output` says that the config is an older task's output, and its text that job's metrics, by the name of their
    file.
    """

    ordinal: int
    metrics: str
    path: str | None
    is_output: bool
    config: str | None
    config_name: str | None


def keep(conn: psycopg.Connection, outcomes: Sequence[Outcome]) -> None:
    """Write down what came with outcomes."""
    said = [(outcome.key, outcome.metrics) for outcome in outcomes if outcome.metrics]
    if not said:
        return
    params = {
        "tasks": Ints([key.task_id for key, _ in said]),
        "ordinals": Ints([key.ordinal for key, _ in said]),
        "numbers": Ints([key.number for key, _ in said]),
        "texts": Texts([metrics.text for _, metrics in said]),
        "values": Texts([metrics.numbers for _, metrics in said]),
    }
    conn.execute(SQL.keep, params)


def forget(conn: psycopg.Connection, seconds: float, limit: int) -> bool:
    """Forget up to `limit` rows that are older than that; False where there are none."""
    return bool(conn.execute(SQL.forget, {"seconds": seconds, "limit": limit}).rowcount)


def first(conn: psycopg.Connection, task: int, limit: int) -> list[Numbers]:
    """Give the numbers of a task's first results, in job order."""
    return [Numbers(**row) for row in fetch(conn, SQL.first, {"task": task, "limit": limit})]


def best(conn: psycopg.Connection, task: int, name: str, limit: int, *, highest: bool) -> list[int]:
    """Give the jobs whose number of that name is best, the best one first."""
    params = {"task": task, "name": name, "limit": limit}
    rows = fetch(conn, SQL.highest if highest else SQL.lowest, params)
    return [row["ordinal"] for row in rows]


def anywhere(conn: psycopg.Connection, task: int, limit: int) -> list[int]:
    """Give some of the jobs with results, from all over a task."""
    rows = fetch(conn, SQL.anywhere, {"task": task, "limit": limit})
    return [row["ordinal"] for row in rows]


def said(
    conn: psycopg.Connection, task: int, version: int, ordinals: Collection[int]
) -> dict[int, Said]:
    """Give what jobs said, with their configs of a version."""
    params = {"task": task, "version": version, "ordinals": Ints(ordinals)}
    return {row["ordinal"]: Said(**row) for row in fetch(conn, SQL.said, params)}
