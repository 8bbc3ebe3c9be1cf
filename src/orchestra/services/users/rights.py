"""Rights: owners may change what is theirs, admins may change everything."""

from __future__ import annotations

from orchestra.domain.caller import Caller
from orchestra.domain.errors import NotAllowed
from orchestra.domain.wording import Action, words

_WHO = words(Action.LIST_USERS, " shows who the admins are.")


def may_change(caller: Caller, owner: str | None) -> bool:
    """Whether a caller may change what belongs to `owner`; what has no owner belongs to the admins."""
    return caller.may_change(owner)


def check_may_change(caller: Caller, owner: str | None, what: str) -> None:
    """Check that a caller may change what belongs to `owner`.

    Raises:
        NotAllowed: it belongs to somebody else, and the caller is not an admin.
    """
    if may_change(caller, owner):
        return
    whose = f'user "{owner}"' if owner else "the admins"
    raise NotAllowed(
        f'{what} belongs to {whose}, but you are "{caller.name}".',
        hint="Only its owner or an admin may change it." if owner else _WHO,
        owner=owner,
        user=caller.name,
    )


def check_admin(caller: Caller, what: str) -> None:
    """Check that a caller is an admin; `what` is for the message, such as "create other users".

    Raises:
        NotAllowed: the caller is not an admin.
    """
    if not caller.admin:
        raise NotAllowed(
            f'only an admin may {what}, but you are "{caller.name}".',
            hint=_WHO,
            user=caller.name,
        )
