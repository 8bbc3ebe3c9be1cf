"""Sessions of browsers, and the codes that begin them."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.credentials import SignInCode, WebSession
from orchestra.interface.operation import Change, Question


@dataclass(frozen=True, slots=True)
class MakeSignInCode(Change[SignInCode]):
    """Make a code that signs a browser in as the caller, once and within a minute.

    Raises:
        Refused: the caller is a browser itself.
    """


@dataclass(frozen=True, slots=True)
class ListSessions(Question[tuple[WebSession, ...]]):
    """The caller's sessions."""


@dataclass(frozen=True, slots=True)
class EndSession(Change[None]):
    """End a session.

    Raises:
        NotFound: there is none with that number.
        Refused: it is another user's, and the caller is not an admin.
    """

    session: int
