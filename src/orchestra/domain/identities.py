"""Who a request to the server is from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from orchestra.domain.caller import Caller
from orchestra.domain.models.users import User


class Via(StrEnum):
    """How the server knows who makes a request."""

    TOKEN = "token"  # noqa: S105 - a kind, not a secret
    SESSION = "session"
    SOCKET = "socket"


@dataclass(frozen=True, slots=True)
class Identity:
    """The user who makes a request.

    Args:
        admin: whether the request may do what only admins may.
        account, host: the Unix account that was proven, and its machine; None if none was.
        id: of the token or session, for limits and for signing out.
    """

    user: User
    admin: bool
    via: Via
    account: str | None = None
    host: str | None = None
    id: str = ""

    @property
    def caller(self) -> Caller:
        """The caller on whose behalf services act."""
        return Caller(self.user, self.admin)
