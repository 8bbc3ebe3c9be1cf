"""Changes of users."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import NewLimits, User
from orchestra.interface.operation import Change


@dataclass(frozen=True, slots=True)
class CreateUser(Change[User]):
    """Create a user. Everybody may create the user of their own account; an admin any. The first one is an admin.

    Raises:
        BadInput: the name or the address cannot be used.
        AlreadyExists: the name is taken.
        Refused: it is not the user of the caller's account, and the caller is not an admin.
    """

    name: str
    email: str


@dataclass(frozen=True, slots=True)
class SetUser(Change[User]):
    """Change a user; None leaves a value as it is.

    Raises:
        BadInput: the address cannot be used.
        NotFound: there is no user with that name.
        Refused: the caller may not change it, or no admin would be left.
    """

    name: str
    email: str | None = None
    mail: bool | None = None
    admin: bool | None = None


@dataclass(frozen=True, slots=True)
class LimitUser(Change[User]):
    """Change what the running jobs of a user may take together, and the user's shares in the order between users.

    Raises:
        BadInput: a value cannot be used, or there is nothing to change.
        NotFound: there is no user with that name.
        Refused: the caller is not an admin.
    """

    name: str
    limits: NewLimits


@dataclass(frozen=True, slots=True)
class DeleteUser(Change[None]):
    """Delete a user who has no tasks and no data sets.

    Raises:
        NotFound: there is none with that name.
        Refused: they have tasks or data sets, or the caller may not.
    """

    name: str
