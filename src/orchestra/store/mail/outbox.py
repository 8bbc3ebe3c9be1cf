"""The outbox. Every function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from orchestra.domain.notifications import AffectedTask
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("mail/outbox")


@dataclass(frozen=True, slots=True)
class Due:
    """A mail to be sent now. `tries` includes this one."""

    id: int
    message_id: str
    batch: str
    kind: str
    task_id: int | None
    payload: Mapping[str, Any]
    created_at: datetime
    tries: int
    posted: bool


@dataclass(frozen=True, slots=True)
class SilentPilot:
    """A pilot that has been silent for `silent_for` seconds; its jobs may be requeued after `lease_until`."""

    node_id: int
    node: str
    silent_for: float
    lease_until: datetime | None


def add_for_owner(
    conn: psycopg.Connection, task: int, kind: str, payload: Mapping[str, Any]
) -> None:
    """Write a mail to the owner of a task, unless they have switched mail off."""
    conn.execute(SQL.add_for_owner, {"task": task, "kind": kind, "payload": Jsonb(payload)})


def add_for_person(
    conn: psycopg.Connection, person: int, kind: str, payload: Mapping[str, Any]
) -> None:
    conn.execute(SQL.add_for_person, {"person": person, "kind": kind, "payload": Jsonb(payload)})


def add_for_admins(
    conn: psycopg.Connection, kind: str, payload: Mapping[str, Any], *, but: int | None = None
) -> None:
    """Write a mail to every admin, optionally except one."""
    conn.execute(SQL.add_for_admins, {"but": but, "kind": kind, "payload": Jsonb(payload)})


def last_kill(conn: psycopg.Connection, task: int) -> tuple[str, str | None] | None:
    """Return who killed a task last, and why."""
    rows = fetch(conn, SQL.last_kill, {"task": task})
    return (rows[0]["who"], rows[0]["why"]) if rows else None


def is_due(conn: psycopg.Connection, kinds: Sequence[str], *, pause: float) -> bool:
    return bool(fetch(conn, SQL.due, {"kinds": list(kinds), "pause": pause})[0]["exists"])


def take(
    conn: psycopg.Connection, kinds: Sequence[str], *, pause: float, lease: float, limit: int
) -> tuple[int, list[Due]] | None:
    """Take the mails that go out together next, for `lease` seconds; oldest first."""
    rows = fetch(conn, SQL.next_due, {"kinds": list(kinds), "pause": pause})
    if not rows:
        return None
    first = rows[0]
    params = {
        "first": first["id"],
        "person": first["person_id"],
        "batch": first["batch"],
        "kinds": list(kinds),
        "lease": lease,
        "limit": limit,
    }
    taken = [Due(**row) for row in fetch(conn, SQL.take, params)]
    return first["person_id"], sorted(taken, key=lambda due: due.id)


def note_sent(conn: psycopg.Connection, ids: Sequence[int], how: str) -> None:
    conn.execute(SQL.note_sent, {"ids": list(ids), "how": how})


def note_posted(conn: psycopg.Connection, ids: Sequence[int]) -> None:
    conn.execute(SQL.note_posted, {"ids": list(ids)})


def note_delayed(
    conn: psycopg.Connection, ids: Sequence[int], error: str, *, seconds: float, keep: bool
) -> None:
    """Retry after so many seconds; with `keep`, as the same batch with the same Message-ID."""
    params = {"ids": list(ids), "error": error, "seconds": seconds, "keep": keep}
    conn.execute(SQL.note_delayed, params)


def retry_now(conn: psycopg.Connection) -> None:
    """Make all mails that wait for a retry due now."""
    conn.execute(SQL.retry_now)


def note_refused(conn: psycopg.Connection, ids: Sequence[int], error: str) -> None:
    conn.execute(SQL.note_refused, {"ids": list(ids), "error": error})


def set_all_aside(conn: psycopg.Connection, error: str) -> int:
    """Set all pending mails aside, and return how many."""
    return conn.execute(SQL.set_all_aside, {"error": error}).rowcount


def forget(conn: psycopg.Connection, *, sent_days: int, refused_days: int) -> None:
    """Delete older mails."""
    conn.execute(SQL.forget, {"sent_days": sent_days, "refused_days": refused_days})


def silent_pilots(conn: psycopg.Connection, after: float) -> list[SilentPilot]:
    return [SilentPilot(**row) for row in fetch(conn, SQL.silent_pilots, {"after": after})]


def note_silence_reported(conn: psycopg.Connection, node: int, after: float) -> bool:
    return conn.execute(SQL.note_silence_reported, {"node": node, "after": after}).rowcount == 1


def at_stake(conn: psycopg.Connection, node: int) -> list[tuple[int, AffectedTask]]:
    """Return the jobs that a node holds, by owner and task."""
    rows = fetch(conn, SQL.at_stake, {"node": node})
    return [(row.pop("owner_id"), AffectedTask(**row)) for row in rows]
