"""Where the files come from that the jobs of a task read."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.store.database import fetch
from orchestra.store.sql import load

SQL = load("tasks")


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


def inputs(conn: psycopg.Connection, task: int) -> list[Source]:
    """Give what stands for each tag of a task but %IN and %OUT."""
    return [Source(**row) for row in fetch(conn, SQL.inputs, {"task": task})]


def config(conn: psycopg.Connection, task: int) -> Source:
    """Give where a task's configs come from."""
    return Source(**fetch(conn, SQL.config, {"task": task})[0])
