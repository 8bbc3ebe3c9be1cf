"""Where tasks may run. Rows never change, so they can be cached by id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import psycopg

from orchestra.domain.models.placement import ANYWHERE, Placement
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("tasks/placements")


def from_row(row: Mapping[str, Any]) -> Placement:
    """Build a Placement from a row that a task's placement was joined to."""
    if row["constraint_text"] is None:
        return ANYWHERE
    return Placement(row["constraint_text"], tuple(row["nodes"]), tuple(row["not_nodes"]))


def intern(conn: psycopg.Connection, placement: Placement) -> int | None:
    """Return the id of a placement, which is stored if it is new; None for anywhere."""
    if placement == ANYWHERE:
        return None
    params = {
        "constraint": placement.constraint,
        "nodes": list(placement.nodes),
        "not_nodes": list(placement.not_nodes),
    }
    return int(fetch(conn, SQL.intern, params)[0]["id"])


def some(conn: psycopg.Connection, ids: Collection[int]) -> dict[int, Placement]:
    """Return placements by id."""
    return {row["id"]: from_row(row) for row in fetch(conn, SQL.some, {"ids": list(ids)})}
