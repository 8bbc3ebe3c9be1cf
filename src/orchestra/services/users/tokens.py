"""Personal tokens: make, list, revoke, and who sends one."""

from __future__ import annotations

import psycopg

from orchestra.domain import access_secrets
from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotFound, NotSignedIn
from orchestra.domain.human import one_line
from orchestra.domain.identities import Identity, UnixAccount, Via
from orchestra.domain.models.credentials import NewToken, Token
from orchestra.domain.storable import check_text
from orchestra.domain.wording import Action, words
from orchestra.services.users import users
from orchestra.services.users.rights import check_admin, check_may_change
from orchestra.store.access import tokens as store
from orchestra.store.driver.database import in_transaction

LONGEST_NAME = 100
_LONGEST_LIFE = 10 * 365 * 86400.0
_ANOTHER = words(Action.MAKE_TOKEN, " makes another one.")


def create(
    conn: psycopg.Connection,
    caller: Caller,
    unix: UnixAccount | None,
    *,
    user: str | None = None,
    name: str = "",
    seconds: float | None = None,
    admin: bool = True,
    through: Identity | None = None,
) -> NewToken:
    """Make a token, by default the caller's.

    Args:
        unix: the caller's Unix account, if it was proven. A token for somebody else carries none.
        user: whose it is; for another user, the caller must be an admin.
        name: what it is for.
        seconds: how long it works, None without end.
        admin: whether it carries the rights of an admin, if the caller has them and the user is one.
        through: who makes it through a server. A token that was made with a token does not last longer than that.

    Raises:
        BadInput: the name or the time cannot be used.
        NotFound: there is no such user.
        NotAllowed: it is for somebody else, and the caller is not an admin.
    """
    check_text("the name of the token", name, most=LONGEST_NAME)
    if not name.isprintable():
        raise BadInput(f'"{one_line(name)}" cannot be the name of a token: it is not printable.')
    if seconds is not None and not 1 <= seconds <= _LONGEST_LIFE:
        raise BadInput("a token works for between 1 second and 10 years.")
    own = user is None or user == caller.name
    if not own:
        check_admin(caller, f'make a token for user "{user}"')
    secret = access_secrets.new_token()
    ends_at = through.ends_at if through and through.via is Via.TOKEN else None

    def work() -> Token:
        person = caller.user if own else users.get(conn, user or "")
        return store.insert(
            conn,
            person.id,
            name,
            hash_=access_secrets.hash_of(secret),
            start=access_secrets.start_of(secret),
            admin=admin and caller.admin and person.is_admin,
            unix=unix if own else None,
            seconds=seconds,
            ends_at=ends_at,
        )

    return NewToken(in_transaction(conn, work), secret)


def of_user(conn: psycopg.Connection, caller: Caller, user: str | None = None) -> list[Token]:
    """Return a user's tokens, by default the caller's, also those that have ended.

    Raises:
        NotFound: there is no such user.
        NotAllowed: they are somebody else's, and the caller is not an admin.
    """
    if user is None or user == caller.name:
        return store.of_user(conn, caller.user.id)
    check_admin(caller, f'see the tokens of user "{user}"')
    return store.of_user(conn, users.get(conn, user).id)


def of_everybody(conn: psycopg.Connection, caller: Caller) -> list[Token]:
    """Return everybody's tokens.

    Raises:
        NotAllowed: the caller is not an admin.
    """
    check_admin(caller, "see everybody's tokens")
    return store.all_of_them(conn)


def revoke(conn: psycopg.Connection, caller: Caller, number: int) -> Token:
    """Revoke a token: it no longer works, and the sessions that began with it end. Harmless if it is repeated.

    Raises:
        NotFound: there is none with that number.
        NotAllowed: it is somebody else's, and the caller is not an admin.
    """

    def work() -> Token:
        token = store.by_id(conn, number)
        if token is None:
            raise NotFound(
                f"there is no token {number}.",
                hint=words(Action.LIST_TOKENS, " shows yours."),
                kind="token",
                name=str(number),
            )
        check_may_change(caller, token.user, f"token {number}")
        store.revoke(conn, number)
        return store.by_id(conn, number) or token

    return in_transaction(conn, work)


def identify(conn: psycopg.Connection, secret: str) -> Identity:
    """Return who a token belongs to, and note its use. A token that is no token is told without the database.

    Raises:
        NotSignedIn: it is not a token, not known, revoked or expired.
    """
    check_form(secret)
    known = store.known(conn, access_secrets.hash_of(secret))
    if known is None:
        raise NotSignedIn("this token is not known here.", hint=_ANOTHER)
    if known.revoked or known.expired:
        what = "was revoked" if known.revoked else "has expired"
        raise NotSignedIn(
            f'this token of user "{known.identity.user.name}" {what}.',
            hint=_ANOTHER,
        )
    if known.unnoted and known.identity.token is not None:
        store.note_use(conn, known.identity.token)
    return known.identity


def check_form(secret: str) -> None:
    """Refuse what has not the form of a token, or a wrong checksum.

    Raises:
        NotSignedIn: it is not a token.
    """
    if not access_secrets.is_token(secret):
        raise NotSignedIn(
            "this is not a token, or not all of one.",
            hint=words("A token begins with orc_ and has 42 characters. ", _ANOTHER),
        )
