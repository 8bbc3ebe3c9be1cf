"""On whose behalf something is done."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.models.users import User


@dataclass(frozen=True, slots=True)
class Caller:
    """The user for whom a service acts, and whether they may do what takes an admin.

    `admin` may be False for an admin: somebody who acts through a token with fewer rights.
    """

    user: User
    admin: bool

    @classmethod
    def of(cls, user: User) -> Caller:
        """Return the caller with all the rights that the user has."""
        return cls(user, user.is_admin)

    @property
    def name(self) -> str:
        """The user's name, for events and for what belongs to whom."""
        return self.user.name
