"""The outbox as the mailer uses it; each function is one transaction. `mails.py` is for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg

from orchestra.domain import notifications
from orchestra.domain.models.users import User
from orchestra.domain.notifications import KINDS, Notification, UndeliveredNotification
from orchestra.store import users as user_store
from orchestra.store.driver.database import in_transaction
from orchestra.store.mail import outbox as store

PAUSE = 60.0
"""Seconds between two mails to the same user: later notifications are sent as one."""
AT_MOST = 50
"""The maximum number of notifications in one mail."""
SENDING_LEASE = 600.0
"""Seconds after which a mail is sent again if its sender has not reported. Longer than any server takes."""
GIVE_UP_AFTER = 100
"""Tries; with the pauses in between they take four days."""
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0
_SENT_DAYS, _REFUSED_DAYS = 30, 90

T = TypeVar("T")
Check = Callable[[], None]
"""Called at the beginning of a transaction; raises if the caller is not the conductor any more."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Notifications that are sent as one message, dated as the first. `posted` says which of them the channels have."""

    ids: tuple[int, ...]
    message_id: str
    to: User
    notifications: tuple[Notification, ...]
    date: datetime
    tries: int
    posted: tuple[bool, ...]


def is_due(conn: psycopg.Connection, *, immediate: bool = False) -> bool:
    """Whether a mail is due; `immediate`, without waiting for more notifications to the same user."""
    return store.is_due(conn, KINDS, pause=0 if immediate else PAUSE)


def take(conn: psycopg.Connection, check: Check, *, immediate: bool = False) -> Batch | None:
    """Take the next due batch, so that no other process sends it; None if there is none."""

    def work() -> Batch | None:
        check()
        pause = 0 if immediate else PAUSE
        taken = store.take(conn, KINDS, pause=pause, lease=SENDING_LEASE, limit=AT_MOST)
        if taken is None:
            return None
        person, rows = taken
        to = user_store.by_id(conn, person)
        assert to is not None  # mails are deleted with their user
        return _pack(conn, to, rows)

    return in_transaction(conn, work)


def _pack(conn: psycopg.Connection, to: User, rows: Sequence[store.Due]) -> Batch:
    """Make a batch of rows. A row that cannot be read is set aside, so that it does not hold up the others."""
    read: list[tuple[store.Due, Notification]] = []
    for row in rows:
        try:
            read.append((row, notifications.from_payload(row.kind, row.payload)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            store.note_refused(conn, [row.id], f"it cannot be read ({error!r})")
    return Batch(
        ids=tuple(row.id for row, _ in read),
        message_id=rows[0].batch,
        to=to,
        notifications=tuple(notification for _, notification in read),
        date=rows[0].created_at,
        tries=max(row.tries for row in rows),
        posted=tuple(row.posted for row, _ in read),
    )


def note_sent(conn: psycopg.Connection, batch: Batch, how: str) -> None:
    """Store that a batch was sent. The term is not checked: it is true even after the term is over."""
    in_transaction(conn, lambda: store.note_sent(conn, batch.ids, how))


def note_posted(conn: psycopg.Connection, batch: Batch) -> None:
    """Store that a batch was posted to the channels."""
    in_transaction(conn, lambda: store.note_posted(conn, batch.ids))


def note_delayed(
    conn: psycopg.Connection, batch: Batch, error: str, *, subject: str, perhaps_sent: bool
) -> None:
    """Schedule a retry, each time after a longer pause; after some days the batch is set aside.

    Args:
        subject: for the notification of the admins when it is set aside.
        perhaps_sent: the batch must be sent again unchanged, under the same Message-ID.
    """
    if batch.tries >= GIVE_UP_AFTER:
        note_refused(conn, batch, f"given up after {batch.tries} tries: {error}", subject=subject)
        return
    seconds = min(_FIRST_PAUSE * 2 ** min(batch.tries - 1, 10), _LONGEST_PAUSE)

    def work() -> None:
        store.note_delayed(conn, batch.ids, error, seconds=seconds, keep=perhaps_sent)

    in_transaction(conn, work)


def note_refused(
    conn: psycopg.Connection, batch: Batch, error: str, *, subject: str, notify_admins: bool = True
) -> None:
    """Set a batch aside and notify the other admins, unless it is such a notification itself."""

    def work() -> None:
        store.note_refused(conn, batch.ids, error)
        if notify_admins and not all(
            isinstance(notification, UndeliveredNotification)
            for notification in batch.notifications
        ):
            undelivered = UndeliveredNotification(batch.ids[0], batch.to.email, subject, error)
            payload = notifications.to_payload(undelivered)
            store.add_for_admins(conn, UndeliveredNotification.KIND, payload, but=batch.to.id)

    in_transaction(conn, work)


def retry_now(conn: psycopg.Connection) -> None:
    """Make all delayed mails due now, because the server works again."""
    in_transaction(conn, lambda: store.retry_now(conn))


def tidy(conn: psycopg.Connection) -> None:
    """Delete mails that were sent more than a month ago or set aside more than three months ago."""
    store.forget(conn, sent_days=_SENT_DAYS, refused_days=_REFUSED_DAYS)
