"""Mails, for who looks into the outbox; each function one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.models.mails import Mail, Summary
from orchestra.domain.wording import Action, words
from orchestra.services.users.rights import check_admin, check_may_change
from orchestra.store.driver.database import in_transaction
from orchestra.store.mail import mails as store


def listed(
    conn: psycopg.Connection,
    caller: Caller,
    *,
    everybody: bool,
    state: str | None,
    limit: int | None,
) -> list[Mail]:
    """Give a person's mails, or everybody's, the newest first; those in one state where it is named."""
    return store.listed(
        conn, person=None if everybody else caller.user.id, state=state, limit=limit
    )


def show(conn: psycopg.Connection, caller: Caller, number: int) -> Mail:
    """Give one mail.

    Raises:
        NotFound: there is none of that number.
        Refused: it is somebody else's, and the caller is no admin.
    """
    found = store.by_id(conn, number)
    if found is None:
        raise NotFound(
            f"there is no mail {number}.",
            hint=words(Action.LIST_MAILS, " shows yours."),
            kind="mail",
            mail=number,
        )
    check_may_change(caller, found.person, f"mail {number}")
    return found


def again(
    conn: psycopg.Connection, caller: Caller, numbers: Sequence[int], *, everybody: bool = False
) -> list[int]:
    """Have mails sent now: these, or all of the caller's (everybody's) that were put aside; gives which.

    Raises:
        NotFound, Refused: one of them is not there, is somebody else's, or was sent; or `everybody` takes an admin.
    """

    if everybody:
        check_admin(caller, "have everybody's mail sent again")

    def work() -> list[int]:
        for number in numbers:
            if (mail := show(conn, caller, number)).sent_at:
                raise Refused(f"mail {number} was sent {mail.sent_at:%d %b at %H:%M} UTC.")
        return store.again(conn, numbers or None, None if numbers or everybody else caller.user.id)

    return in_transaction(conn, work)


def summary(conn: psycopg.Connection) -> Summary:
    """Give how many mails wait and were put aside, and why the first of them waits."""
    return store.summary(conn)


def of_task(conn: psycopg.Connection, task: int) -> list[Mail]:
    """Give the newest mails about a task, oldest first."""
    return store.of_task(conn, task, limit=5)
