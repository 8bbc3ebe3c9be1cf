"""Who may change what: one's own; an admin everything."""

from __future__ import annotations

from orchestra.domain.errors import Refused
from orchestra.domain.models.people import User


def check_may_change(user: User, owner: str, what: str) -> None:
    """Let a user change what is theirs.

    Raises:
        Refused: it is somebody else's, and the user is no admin.
    """
    if user.name != owner and not user.is_admin:
        raise Refused(
            f'{what} belongs to user "{owner}", and you are "{user.name}".',
            hint="Only its owner or an admin may change it.",
        )
