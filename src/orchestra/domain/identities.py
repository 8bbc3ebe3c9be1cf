"""Who a request to the server is from, and how that was proven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestra.domain.caller import Caller
from orchestra.domain.models.users import User


class Via(StrEnum):
    """How the server knows who makes a request."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    """By a personal token, which programs and the command line send with each request."""
    SESSION = "session"
    """By the cookie of a browser that has signed in."""
    SOCKET = "socket"
    """By the Unix account at the other end of its socket, as the kernel says."""


@dataclass(frozen=True, slots=True)
class UnixAccount:
    """A Unix account on a machine; its pilots may run the tasks that it creates."""

    name: str
    host: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The user who makes a request.

    Args:
        admin: whether the request may do what only admins may: the user is an admin, and the token may use that.
        account, host: the Unix account that was proven, and its machine; None if none was.
        token: the id of the token that was sent, or that the session began with.
        ends_at: when the proof ends, if it does.
    """

    user: User
    admin: bool
    via: Via
    account: str | None = None
    host: str | None = None
    token: int | None = None
    ends_at: datetime | None = None

    @property
    def caller(self) -> Caller:
        """The caller on whose behalf services act."""
        return Caller(self.user, self.admin)

    @property
    def unix(self) -> UnixAccount | None:
        """The Unix account that was proven, None if none was."""
        return UnixAccount(self.account, self.host or "") if self.account else None
