"""Parts of logs that pilots send to readers who cannot read the files. Runs inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg

from orchestra.domain.models.jobs import JobPaths
from orchestra.domain.models.logs import PART, AskedPart, FoundPart, WantedPart
from orchestra.domain.models.work import AttemptKey
from orchestra.store.driver.database import fetch
from orchestra.store.driver.sql import load

SQL = load("jobs/log_parts")
MOST = 256
"""Parts at a time, of 256 kB each at most."""
KEPT_SECONDS = 10.0
AGAIN_AFTER_SECONDS = 2.0
"""Seconds after which a pilot that has not answered is asked once more."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where an attempt's log is, and who can send parts of it.

    Args:
        account: the Unix account that ran it; None if that is not known any more.
        node: the id of its node; None if it was deleted.
        over: its end is known, or it is lost.
        grows: its end is not known. It may run on although it is lost.
        length, first: of the part that the database keeps: the log's length, and the first byte; None without one.
        known_end: its last bytes, if it has ended.
        has_sender: its node's pilot is online and can send parts of logs.
    """

    folder: str
    account: str | None
    node: int | None
    over: bool
    grows: bool
    started: bool
    length: int | None
    first: int | None
    known_end: bytes | None
    has_sender: bool


def place(conn: psycopg.Connection, task: int, index: int, number: int) -> LogPlace | None:
    """Return where an attempt's log is; None if there is no such attempt."""
    rows = fetch(conn, SQL.place, {"task": task, "index": index, "number": number})
    if not rows:
        return None
    row = rows[0]
    folder = JobPaths.folder(row.pop("folder"), index, row.pop("folder_number"))
    return LogPlace(folder=folder, node=row.pop("node_id"), **row)


def take(
    conn: psycopg.Connection, task: int, index: int, number: int, start: int
) -> FoundPart | bool:
    """Return a part that was sent; False if the pilot could not read the log, True if none was sent yet."""
    params = {"task": task, "index": index, "number": number, "start": start, "most": PART}
    rows = fetch(conn, SQL.take, params)
    if not rows:
        return True
    return rows[0]["length"] is not None and FoundPart(rows[0]["length"], rows[0]["data"])


def ask(
    conn: psycopg.Connection, task: int, index: int, number: int, start: int, *, node: int
) -> bool:
    """Ask a node's pilot for a part; return whether it is to be told."""
    sweep(conn)
    params = {
        "task": task,
        "index": index,
        "number": number,
        "start": start,
        "node": node,
        "limit": MOST,
        "again_after": AGAIN_AFTER_SECONDS,
    }
    return bool(fetch(conn, SQL.ask, params))


def sweep(conn: psycopg.Connection) -> None:
    """Delete the parts that nobody has read for a while."""
    conn.execute(SQL.sweep, {"seconds": KEPT_SECONDS})


def asked(conn: psycopg.Connection, node: int, limit: int) -> list[AskedPart]:
    """Return the next parts that the pilot of a node is to send."""
    return [
        AskedPart(
            AttemptKey(row["task_id"], row["ordinal"], row["number"], row["token"]),
            WantedPart(
                JobPaths.folder(row["folder"], row["ordinal"], row["folder_number"]),
                row["start"],
                row["known_end"],
            ),
        )
        for row in fetch(conn, SQL.asked, {"node": node, "limit": limit})
    ]


def send(conn: psycopg.Connection, part: AskedPart, found: FoundPart | None) -> None:
    """Store a part that was asked for; None if its log cannot be read."""
    params = {
        "task": part.key.task_id,
        "index": part.key.index,
        "number": part.key.number,
        "token": part.key.token,
        "start": part.wanted.start,
        "length": found.length if found else None,
        "data": found.data if found else None,
    }
    conn.execute(SQL.send, params)
