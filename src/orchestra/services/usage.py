"""What was used, by user, task, node, queue, day and month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import psycopg

from orchestra.domain import accounting
from orchestra.domain.models.accounts import UsageKey, Used
from orchestra.interface.answers.usage import UsageReport
from orchestra.services.users import users
from orchestra.store import usage as store


def report(
    conn: psycopg.Connection,
    by: Sequence[UsageKey],
    *,
    since: date | None = None,
    until: date | None = None,
    user: str | None = None,
) -> UsageReport:
    """Return a row for each combination of `by`, and their sum.

    Raises:
        BadInput: `by` is empty or names something twice, or `until` is before `since`.
        NotFound: there is no such user, and was none.
    """
    keys = accounting.check_keys(by)
    accounting.check_period(since, until)
    if user is not None and not store.has(conn, user):
        users.get(conn, user)
    rows = store.read(conn, keys, since=since, until=until, user=user)
    rows.sort(key=lambda row: tuple(row.key(key) for key in keys))
    return UsageReport(keys, since, until, tuple(rows), sum((row.used for row in rows), Used()))
