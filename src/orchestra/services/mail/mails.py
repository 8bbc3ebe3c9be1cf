"""The mails in the outbox as people see them; each function is one transaction."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound, Refused
from orchestra.domain.models.mails import Mail, Summary
from orchestra.domain.storable import check_whole
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
    """Return the mails of the caller or of everybody, the newest first; in one state if it is given.

    Raises:
        BadInput: the limit is invalid.
    """
    if limit is not None:
        check_whole("a limit", limit, least=1)
    return store.listed(
        conn, person=None if everybody else caller.user.id, state=state, limit=limit
    )


def show(conn: psycopg.Connection, caller: Caller, number: int) -> Mail:
    """Return one mail.

    Raises:
        NotFound: there is no mail with that id.
        Refused: it belongs to another user, and the caller is not an admin.
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
    """Make mails due now: these, or all of the caller (of everybody) that were set aside. Return their ids.

    Raises:
        NotFound, Refused: a mail does not exist, belongs to another user, or was sent; or the caller must be an admin.
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
    """Return how many mails wait and were set aside, and why the oldest one waits."""
    return store.summary(conn)


def of_task(conn: psycopg.Connection, task: int) -> list[Mail]:
    """Return the newest mails about a task, the oldest first."""
    return store.of_task(conn, task, limit=5)
