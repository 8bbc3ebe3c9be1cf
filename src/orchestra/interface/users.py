"""Questions about users."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import User
from orchestra.interface.operation import Question


@dataclass(frozen=True, slots=True)
class ListUsers(Question[tuple[User, ...]]):
    """All users by name."""


@dataclass(frozen=True, slots=True)
class GetUser(Question[User]):
    """The user with a name.

    Raises:
        NotFound: there is none.
    """

    name: str
