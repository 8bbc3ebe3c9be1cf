"""Who the callers of a server are, by its database."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.domain.errors import NotSignedIn
from orchestra.domain.identities import Identity, Via
from orchestra.domain.naming import as_name
from orchestra.domain.wording import Action, words
from orchestra.services.users import sessions, sign_in, tokens, users
from orchestra.wiring import say_nothing
from orchestra.wiring.identity import account_name, current_caller, host_name, unix_account

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.models.credentials import NewSession

Connection = Callable[[], "AbstractContextManager[psycopg.Connection]"]


@dataclass(frozen=True, slots=True)
class DatabaseAccounts:
    """`api.accounts.Accounts` over connections to the database."""

    settings: Settings
    connection: Connection

    def of_token(self, secret: str) -> Identity:
        """Return who a token belongs to; what is no token is refused without a connection."""
        tokens.check_form(secret)
        with self.connection() as conn:
            return tokens.identify(conn, secret)

    def of_session(self, cookie: str) -> Identity | None:
        """Return whose session a cookie belongs to."""
        with self.connection() as conn:
            return sessions.identify(conn, cookie)

    def of_peer(self, uid: int) -> Identity:
        """Return who a Unix account is. The server's own is who its configuration says, as on the command line."""
        account = account_name(uid)
        with self.connection() as conn:
            if uid == os.geteuid():
                user = current_caller(conn, self.settings, say_nothing).user
            else:
                user, _ = users.ensure(conn, _checked(account), f"{account}@{host_name()}")
        return Identity(user, user.is_admin, Via.SOCKET, account, unix_account().host)

    def sign_in(self, *, code: str | None, token: str | None) -> NewSession:
        """Begin a session."""
        if token is not None:
            tokens.check_form(token.strip())
        with self.connection() as conn:
            if token is not None:
                return sign_in.with_token(conn, token.strip())
            return sign_in.with_code(conn, code or "")

    def sign_out(self, cookie: str) -> None:
        """End a session."""
        with self.connection() as conn:
            sessions.sign_out(conn, cookie)


def _checked(account: str) -> str:
    """Return the name of an account, which must be that of its user: two accounts never become one user."""
    if as_name(account) != account:
        raise NotSignedIn(
            f'no user can have the name of the Unix account "{account}".',
            hint=words(Action.MAKE_TOKEN, " makes a token for another user."),
        )
    return account
