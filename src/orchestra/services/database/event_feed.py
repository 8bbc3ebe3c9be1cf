"""Pages of all events, in an order in which none is missed."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psycopg

from orchestra.domain.errors import BadInput
from orchestra.domain.models.cluster import DatabaseIdentity
from orchestra.interface.answers.events import EventPage
from orchestra.store.cluster import cluster
from orchestra.store.cluster import event_feed as store
from orchestra.store.cluster.event_feed import Position

FIRST = "first"
_CURSOR = re.compile(r"([0-9a-f]{8})-(\d{1,9})-(\d{1,19})-(\d{1,18})")
_OLDEST = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position, and the database that it is in. A restored or promoted copy has another epoch."""

    database: str
    epoch: int
    position: Position

    def __str__(self) -> str:
        return f"{self.database}-{self.epoch}-{self.position.transaction}-{self.position.id}"


def events_after(conn: psycopg.Connection, after: str | None, limit: int) -> EventPage:
    """Return the events after a cursor.

    Args:
        after: None begins now, "first" with the oldest event that is kept.

    Raises:
        BadInput: it is not a cursor.
    """
    asked = None if after in (None, FIRST) else parse_cursor(after or "")
    with conn.transaction():
        found = cluster.read(conn)
        here = _database(found.identity)
        if not found.in_place:
            # A copy that the conductor has not noticed yet; its epoch is about to go up.
            return EventPage((), after or _cursor(found.identity, store.head(conn)))
        if after is None:
            return EventPage((), _cursor(found.identity, store.head(conn)))
        position = asked.position if asked else _OLDEST
        if asked and (
            (asked.database, asked.epoch) != (here, found.identity.epoch)
            or store.is_ahead(conn, position)
        ):
            return EventPage((), _cursor(found.identity, store.head(conn)), resync=True)
        rows = store.after(conn, position, limit)
    last = rows[-1][0] if rows else position
    return EventPage(tuple(event for _, event in rows), _cursor(found.identity, last))


def parse_cursor(text: str) -> Cursor:
    """Parse what `events_after` gave out.

    Raises:
        BadInput: it is something else.
    """
    match = _CURSOR.fullmatch(text)
    if not match:
        raise BadInput(
            f"{text[:80]!r} is not a cursor.", hint='Start without one, or with "first".'
        )
    database, epoch, transaction, event = match.groups()
    return Cursor(database, int(epoch), Position(int(transaction), int(event)))


def _cursor(identity: DatabaseIdentity, position: Position) -> str:
    return str(Cursor(_database(identity), identity.epoch, position))


def _database(identity: DatabaseIdentity) -> str:
    return identity.cluster.hex[:8]
