"""Users, as `client.users` gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.client import words
from orchestra.client.session import Session
from orchestra.domain.errors import BadInput
from orchestra.domain.models.users import User

if TYPE_CHECKING:
    import builtins


class Users:
    """The people. You are made at your first task; who looks after the database is an admin."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> builtins.list[User]:
        """Return all users by name."""
        from orchestra.interface.users import ListUsers

        return [*self._session(ListUsers())]

    def get(self, name: str | User) -> User:
        """Return a user as they are now. `client.user` is you.

        Raises:
            NotFound: there is none of that name; says what was perhaps meant.
        """
        from orchestra.interface.users import GetUser

        return self._session(GetUser(name_of(name)))

    def create(self, name: str, email: str) -> User:
        """Make a user: anybody the one of their own account, an admin any.

        Raises:
            BadInput: the name or the address cannot be used.
            AlreadyExists: the name is taken.
            Refused: it is not your own account, but you are not an admin.
        """
        from orchestra.interface.user_changes import CreateUser

        return self._session(CreateUser(name_of(name), words.text("an address", email)))

    def set(
        self,
        name: str | User | None = None,
        *,
        email: str | None = None,
        mail: bool | None = None,
        admin: bool | None = None,
    ) -> User:
        """Change a user, you unless another one is named; what is None stays. Return the user.

        Args:
            name: whom.
            email: where mail goes.
            mail: whether mail is wanted at all.
            admin: whether they may change what belongs to others, and make users; takes an admin.

        Raises:
            BadInput: the address cannot be used, or nothing is to be changed.
            NotFound: there is none of that name.
            Refused: you may not; or nobody would be left who is an admin.
        """
        from orchestra.interface.user_changes import SetUser

        if email is None and mail is None and admin is None:
            raise BadInput("nothing to change was given: email, mail or admin.")
        whom = self._session.user_name if name is None else name_of(name)
        return self._session(SetUser(whom, email, mail, admin))

    def delete(self, name: str | User) -> None:
        """Delete a user who has no tasks and no data sets.

        Raises:
            NotFound, Refused: there is none of that name, they have some, or you may not.
        """
        from orchestra.interface.user_changes import DeleteUser

        self._session(DeleteUser(name_of(name)))


def name_of(user: str | User) -> str:
    """Return a user's name.

    Raises:
        BadInput: it is something else.
    """
    return words.text("a user, or their name,", user.name if isinstance(user, User) else user)
