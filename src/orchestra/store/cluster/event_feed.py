"""All events in the order of their transactions, for readers that must miss none."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.models.events import Event
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("cluster/events")


@dataclass(frozen=True, slots=True)
class Position:
    """The place of an event in the order: its transaction's number, and its own."""

    transaction: int
    id: int


def head(conn: psycopg.Connection) -> Position:
    """Return the position of a reader that wants what happens from now on."""
    return _position(fetch(conn, SQL.head)[0])


def after(conn: psycopg.Connection, position: Position, limit: int) -> list[tuple[Position, Event]]:
    """Return the next events after a position, at most `limit`. One that could still get an earlier neighbour waits."""
    params = {"transaction": str(position.transaction), "id": position.id, "limit": limit}
    rows = fetch(conn, SQL.after, params)
    return [
        (
            _position(row),
            Event(**{name: value for name, value in row.items() if name != "transaction"}),
        )
        for row in rows
    ]


def is_ahead(conn: psycopg.Connection, position: Position) -> bool:
    """Whether this database has not come so far, so that the position is not one of its own."""
    return bool(
        fetch(conn, SQL.is_ahead, {"transaction": str(position.transaction)})[0]["is_ahead"]
    )


def _position(row: dict[str, object]) -> Position:
    return Position(int(str(row["transaction"])), int(str(row["id"])))
