"""What can be done to users."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import User
from orchestra.interface.operation import Change


@dataclass(frozen=True, slots=True)
class CreateUser(Change[User]):
    """Make a user: anybody the one of their own account, an admin any. The first user is an admin.

    Raises:
        BadInput: the name or the address cannot be used.
        AlreadyExists: the name is taken.
        Refused: it is not the caller's own account, and the caller is not an admin.
    """

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class SetUser(Change[User]):
    """Change a user; what is None stays.

    Raises:
        BadInput: the address cannot be used.
        NotFound: there is nobody of that name.
        Refused: the caller may not; or nobody would be left who is an admin.
    """

    name: str
    email: str | None = None
    mail: bool | None = None
    admin: bool | None = None


@dataclass(frozen=True, slots=True)
class DeleteUser(Change[None]):
    """Delete a user who has no tasks and no data sets.

    Raises:
        NotFound: there is none of that name.
        Refused: they have tasks or data sets, or the caller may not.
    """

    name: str
