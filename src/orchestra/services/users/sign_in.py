"""Signing a browser in: with a one-time link, or with a token that was pasted."""

from __future__ import annotations

import psycopg

from orchestra.domain import access_secrets
from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotAllowed, NotSignedIn
from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.credentials import NewSession, SignInCode, WebSession
from orchestra.domain.wording import Action, words
from orchestra.services.users import tokens
from orchestra.services.users.sessions import IDLE, LONGEST
from orchestra.store.access import sessions as store
from orchestra.store.driver.database import in_transaction

CODE_LASTS = 60.0
"""Seconds for which a one-time link works."""


def make_code(
    conn: psycopg.Connection,
    caller: Caller,
    unix: UnixAccount | None,
    *,
    through: Identity | None = None,
) -> SignInCode:
    """Make a code that signs a browser in as the caller once, with the caller's rights.

    Raises:
        NotAllowed: the caller is a browser, whose session would never end if it could begin the next one.
    """
    if through is not None and through.via is Via.SESSION:
        raise NotAllowed(
            "a browser cannot make a link to sign in.",
            hint=words(Action.SIGN_IN, " makes one."),
        )
    code = access_secrets.new_secret()
    ends_at = store.add_code(
        conn,
        access_secrets.hash_of(code),
        caller.user.id,
        admin=caller.admin,
        unix=unix,
        token=through.token if through else None,
        seconds=CODE_LASTS,
    )
    return SignInCode(code, ends_at)


def with_code(conn: psycopg.Connection, code: str) -> NewSession:
    """Begin a session with a one-time code; of two who use one, one does.

    Raises:
        NotSignedIn: it was used, has expired, or never was one.
    """
    cookie = access_secrets.new_secret()

    def work() -> WebSession | None:
        given = store.take_code(conn, access_secrets.hash_of(code))
        return _begin(conn, cookie, **given) if given else None

    begun = in_transaction(conn, work)
    if begun is None:
        raise NotSignedIn(
            "this link has been used, or is older than a minute.",
            hint=words(Action.SIGN_IN, " makes another one."),
        )
    return NewSession(begun, cookie)


def with_token(conn: psycopg.Connection, secret: str) -> NewSession:
    """Begin a session with a token, which ends with it.

    Raises:
        NotSignedIn: the token does not work.
    """
    who = tokens.identify(conn, secret.strip())
    cookie = access_secrets.new_secret()
    begun = _begin(conn, cookie, who.user.id, admin=who.admin, unix=who.unix, token=who.token)
    return NewSession(begun, cookie)


def _begin(
    conn: psycopg.Connection,
    cookie: str,
    person: int,
    *,
    admin: bool,
    unix: UnixAccount | None,
    token: int | None,
) -> WebSession:
    return in_transaction(
        conn,
        lambda: store.insert(
            conn,
            access_secrets.hash_of(cookie),
            person,
            admin=admin,
            unix=unix,
            token=token,
            idle=IDLE,
            longest=LONGEST,
        ),
    )
