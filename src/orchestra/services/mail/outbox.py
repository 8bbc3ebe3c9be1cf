"""The outbox, for who sends from it; each function one transaction. `mails.py` is for who looks into it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import psycopg

from orchestra.domain import letters
from orchestra.domain.letters import KINDS, Letter, TroubleLetter
from orchestra.domain.models.users import User
from orchestra.store import users as user_store
from orchestra.store.driver.database import in_transaction
from orchestra.store.mail import outbox as store

PAUSE = 60.0
"""Seconds between two mails to the same person: what happens meanwhile goes out as one."""
AT_MOST = 50
"""Letters in one mail."""
SENDING_LEASE = 600.0
"""Seconds after which a mail is sent again whose sender has not come back. Longer than any server takes."""
GIVE_UP_AFTER = 100
"""Tries; with the pauses between them these are four days."""
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0
_SENT_DAYS, _REFUSED_DAYS = 30, 90

T = TypeVar("T")
Guard = Callable[[], None]
"""Called at the beginning of a transaction; raises where whoever sends may do so no longer."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Letters that go out as one message. `date` is that of the first, `posted` which of them the channels know."""

    ids: tuple[int, ...]
    message_id: str
    to: User
    letters: tuple[Letter, ...]
    date: datetime
    tries: int
    posted: tuple[bool, ...]


def is_due(conn: psycopg.Connection, *, hurry: bool = False) -> bool:
    """Whether anything is to be sent now; in a hurry no one waits for more to go with it."""
    return store.is_due(conn, KINDS, pause=0 if hurry else PAUSE)


def take(conn: psycopg.Connection, guard: Guard, *, hurry: bool = False) -> Parcel | None:
    """Take what is to be sent next, so that nobody else sends it; None where there is nothing."""

    def work() -> Parcel | None:
        guard()
        pause = 0 if hurry else PAUSE
        taken = store.take(conn, KINDS, pause=pause, lease=SENDING_LEASE, limit=AT_MOST)
        if taken is None:
            return None
        person, rows = taken
        to = user_store.by_id(conn, person)
        assert to is not None  # their mails go with a person
        return _pack(conn, to, rows)

    return in_transaction(conn, work)


def _pack(conn: psycopg.Connection, to: User, rows: Sequence[store.Due]) -> Parcel:
    """Give rows as a parcel; one that cannot be read is put aside, so that it keeps nothing else from going out."""
    read: list[tuple[store.Due, Letter]] = []
    for row in rows:
        try:
            read.append((row, letters.from_payload(row.kind, row.payload)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            store.note_refused(conn, [row.id], f"it cannot be read ({error!r})")
    return Parcel(
        ids=tuple(row.id for row, _ in read),
        message_id=rows[0].batch,
        to=to,
        letters=tuple(letter for _, letter in read),
        date=rows[0].created_at,
        tries=max(row.tries for row in rows),
        posted=tuple(row.posted for row, _ in read),
    )


def note_sent(conn: psycopg.Connection, parcel: Parcel, how: str) -> None:
    """Write down that a parcel was sent. Needs no duty: it is so, whoever conducts now."""
    in_transaction(conn, lambda: store.note_sent(conn, parcel.ids, how))


def note_posted(conn: psycopg.Connection, parcel: Parcel) -> None:
    """Write down that the channels were told of it."""
    in_transaction(conn, lambda: store.note_posted(conn, parcel.ids))


def note_delayed(
    conn: psycopg.Connection, parcel: Parcel, error: str, *, subject: str, perhaps_sent: bool
) -> None:
    """Have it tried again later, each time later than the last; after days it is put aside.

    Args:
        subject: for the admins, when it is put aside.
        perhaps_sent: it goes out again as it is, under the same Message-ID.
    """
    if parcel.tries >= GIVE_UP_AFTER:
        note_refused(conn, parcel, f"given up after {parcel.tries} tries: {error}", subject=subject)
        return
    seconds = min(_FIRST_PAUSE * 2 ** min(parcel.tries - 1, 10), _LONGEST_PAUSE)

    def work() -> None:
        store.note_delayed(conn, parcel.ids, error, seconds=seconds, keep=perhaps_sent)

    in_transaction(conn, work)


def note_refused(
    conn: psycopg.Connection, parcel: Parcel, error: str, *, subject: str, tell: bool = True
) -> None:
    """Put a parcel aside; the other admins are told, unless it is about that itself."""

    def work() -> None:
        store.note_refused(conn, parcel.ids, error)
        if tell and not all(isinstance(letter, TroubleLetter) for letter in parcel.letters):
            trouble = TroubleLetter(parcel.ids[0], parcel.to.email, subject, error)
            payload = letters.to_payload(trouble)
            store.add_for_admins(conn, TroubleLetter.KIND, payload, but=parcel.to.id)

    in_transaction(conn, work)


def hurry(conn: psycopg.Connection) -> None:
    """Have everything that waits for its next try sent now: the server works again."""
    in_transaction(conn, lambda: store.hurry(conn))


def tidy(conn: psycopg.Connection) -> None:
    """Forget what was sent more than a month ago, and what was put aside three months ago."""
    store.forget(conn, sent_days=_SENT_DAYS, refused_days=_REFUSED_DAYS)
