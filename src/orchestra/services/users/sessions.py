"""Sessions of browsers: who one belongs to, and its end. `sign_in.py` begins them."""

from __future__ import annotations

import psycopg

from orchestra.domain import access_secrets
from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotFound
from orchestra.domain.identities import Identity
from orchestra.domain.models.credentials import WebSession
from orchestra.services.users.rights import check_may_change
from orchestra.store.access import sessions as store
from orchestra.store.driver.database import in_transaction

IDLE, LONGEST = 12 * 3600.0, 30 * 86400.0
"""Seconds after which a session ends without a request, and in any case."""


def identify(conn: psycopg.Connection, cookie: str) -> Identity | None:
    """Return who a cookie's session belongs to, and note its use; None if there is no such session."""
    hashed = access_secrets.hash_of(cookie)
    found = store.identify(conn, hashed)
    if found is None:
        return None
    identity, unnoted = found
    if unnoted:
        store.note_use(conn, hashed, IDLE)
    return identity


def own(conn: psycopg.Connection, caller: Caller) -> list[WebSession]:
    """Return the caller's sessions."""
    return store.of_user(conn, caller.user.id)


def end(conn: psycopg.Connection, caller: Caller, number: int) -> None:
    """End a session.

    Raises:
        NotFound: there is none with that number.
        NotAllowed: it is somebody else's, and the caller is not an admin.
    """

    def work() -> None:
        session = store.by_id(conn, number)
        if session is None:
            raise NotFound(
                f"there is no session {number}, or it has ended.", kind="session", name=str(number)
            )
        check_may_change(caller, session.user, f"session {number}")
        store.end(conn, number)

    in_transaction(conn, work)


def sign_out(conn: psycopg.Connection, cookie: str) -> None:
    """End the session with that cookie, if there is one."""
    store.end_by_hash(conn, access_secrets.hash_of(cookie))
