"""Changes since a cursor, so that callers need not read everything again."""

from __future__ import annotations

import re
from collections.abc import Sequence

import psycopg

from orchestra.domain.errors import BadInput
from orchestra.interface.answers.changes import TaskChanges
from orchestra.store.cluster import changes as store

_CURSOR = re.compile("[0-9]{1,20}:[0-9]{1,20}:[0-9,]{0,100000}")


def changes_since(
    conn: psycopg.Connection, cursor: str | None, tasks: Sequence[int]
) -> TaskChanges:
    """Return which of `tasks` have changed since the call that returned the cursor; without a cursor, all of them.

    No change is missed, however late its transaction commits: the next call returns it.

    Raises:
        BadInput: the cursor is not one that a call returned.
    """
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise _bad_cursor(cursor)
    try:
        seen = store.since(conn, cursor, tasks)
    except psycopg.DataError:
        raise _bad_cursor(cursor or "") from None
    return TaskChanges(
        seen.cursor, tuple(tasks) if seen.unknown_cursor else tuple(sorted(seen.tasks))
    )


def _bad_cursor(cursor: str) -> BadInput:
    return BadInput(f"{cursor[:80]!r} is not a cursor.", hint="Start without one.")
