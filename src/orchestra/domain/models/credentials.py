"""Tokens, sessions and one-time codes. What proves a caller is in `secret` and `code`, which no repr shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Token:
    """A personal token, without its secret.

    Args:
        name: what it is for, in its maker's words; may be empty.
        start: the first characters of the secret, by which people recognize it.
        admin: whether it carries an admin's rights as long as its user is an admin.
        account, host: the Unix account that made it, and its machine; None if none was proven.
        last_used_at: to the minute.
    """

    id: int
    user: str
    name: str
    start: str
    admin: bool
    account: str | None
    host: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    def works(self, now: datetime) -> bool:
        """Whether it is accepted at a moment."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that has just been made. The secret is shown this one time; the database has its hash only."""

    token: Token
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignInCode:
    """A code that signs a browser in once. `address` is that of the pages, if a server that knows it has answered."""

    code: str = field(repr=False)
    expires_at: datetime
    address: str | None = None


@dataclass(frozen=True, slots=True)
class WebSession:
    """A browser that has signed in. `ends_at`: when it must sign in again even if it is used."""

    id: int
    user: str
    admin: bool
    token: int | None
    created_at: datetime
    last_seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has just begun, and the value of its cookie."""

    session: WebSession
    secret: str = field(repr=False)
