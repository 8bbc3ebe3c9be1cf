"""Personal tokens."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.credentials import NewToken, Token
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class CreateToken(Change[NewToken]):
    """Make a token. Its secret is in the answer, and nowhere else.

    Args:
        user: whose it is, by default the caller's. One for another user carries no Unix account.
        name: what it is for.
        seconds: how long it works, None without end.
        admin: whether it carries an admin's rights, if the caller has them.

    Raises:
        BadInput: the name or the time cannot be used.
        NotFound: there is no such user.
        Refused: it is for another user, and the caller is not an admin.
    """

    user: str | None = None
    name: str = ""
    seconds: float | None = None
    admin: bool = True


@dataclass(frozen=True, slots=True)
class ListTokens(Question[tuple[Token, ...]]):
    """A user's tokens, by default the caller's, or everybody's; also those that have ended, for a month.

    Raises:
        NotFound: there is no such user.
        Refused: they are not the caller's, who is not an admin.
    """

    user: str | None = None
    everybody: bool = False


@dataclass(frozen=True, slots=True)
class RevokeToken(Change[Token]):
    """Revoke a token: it no longer works, and sessions that began with it end.

    Raises:
        NotFound: there is none with that number.
        Refused: it is another user's, and the caller is not an admin.
    """

    token: int
