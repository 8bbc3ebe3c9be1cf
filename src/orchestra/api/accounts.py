"""What a server asks about its callers; `wiring/server_accounts.py` answers over the server's connections."""

from __future__ import annotations

from typing import Protocol

from orchestra.domain.identities import Identity
from orchestra.domain.models.credentials import NewSession


class Accounts(Protocol):
    """Who callers are, by what they send."""

    def of_token(self, secret: str) -> Identity:
        """Return who a token belongs to.

        Raises:
            NotSignedIn: it does not work.
        """
        ...

    def of_session(self, cookie: str) -> Identity | None:
        """Return whose session a cookie belongs to; None if it has ended."""
        ...

    def of_peer(self, uid: int) -> Identity:
        """Return who a Unix account is: the user of its name, created if there is none.

        Raises:
            NotSignedIn: no user can have its name.
        """
        ...

    def sign_in(self, *, code: str | None, token: str | None) -> NewSession:
        """Begin a session with a one-time code, or with a token.

        Raises:
            NotSignedIn: it does not work.
        """
        ...

    def sign_out(self, cookie: str) -> None:
        """End the session of a cookie."""
        ...
