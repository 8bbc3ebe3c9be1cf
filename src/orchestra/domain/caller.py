"""The user on whose behalf a service acts."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import User


@dataclass(frozen=True, slots=True)
class Caller:
    """A user, and whether the call may do what only admins may.

    `admin` can be False for an admin who acts through a token with fewer rights.
    """

    user: User
    admin: bool

    @classmethod
    def of(cls, user: User) -> Caller:
        """Return the caller with all the rights that the user has."""
        return cls(user, user.is_admin)

    @property
    def name(self) -> str:
        """The user's name, as events and ownership record it."""
        return self.user.name

    def may_change(self, owner: str | None) -> bool:
        """Whether the caller may change what belongs to `owner`; what has no owner belongs to the admins."""
        return self.admin or self.name == owner
