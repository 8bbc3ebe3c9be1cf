"""What has changed since somebody looked, so that nobody has to look at everything again and again."""

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
    """Give which of some tasks have changed since the call that gave the cursor; without one, all of them.

    No change is missed, however late its transaction ends: what is not seen now is seen by the next call.

    Raises:
        BadInput: no call gave such a cursor.
    """
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise _no_cursor(cursor)
    try:
        seen = store.since(conn, cursor, tasks)
    except psycopg.DataError:
        raise _no_cursor(cursor or "") from None
    return TaskChanges(seen.cursor, tuple(tasks) if seen.strange else tuple(sorted(seen.tasks)))


def _no_cursor(cursor: str) -> BadInput:
    return BadInput(f"{cursor[:80]!r} is no cursor.", hint="Begin without one.")
