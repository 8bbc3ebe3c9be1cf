"""Users: `client.users`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from orchestra.client import words
from orchestra.client.session import Session
from orchestra.client.settings import UNCHANGED, Unchanged
from orchestra.domain.errors import BadInput
from orchestra.domain.models.credentials import NewToken, Token
from orchestra.domain.models.users import NewLimits, User, UserLimit
from orchestra.domain.user_limits import parse_gpus

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable

T = TypeVar("T")


class Users:
    """People who use this database. You are created with your first task; the first user is an admin."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self) -> builtins.list[User]:
        """Return all users by name."""
        from orchestra.interface.users import ListUsers

        return [*self._session(ListUsers())]

    def get(self, name: str | User) -> User:
        """Return a user as they are now. `client.user` is you.

        Raises:
            NotFound: there is none with that name; suggests a similar one.
        """
        from orchestra.interface.users import GetUser

        return self._session(GetUser(name_of(name)))

    def create(self, name: str, email: str) -> User:
        """Create a user. Everybody may create the user of their own account; an admin may create any.

        Raises:
            BadInput: the name or the address cannot be used.
            AlreadyExists: the name is taken.
            Refused: it is not the user of your own account, and you are not an admin.
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
        """Change a user, by default yourself; None leaves a value as it is. Return the user.

        Args:
            name: the user.
            email: the address for mail.
            mail: whether the user wants mail.
            admin: whether the user may change what belongs to others, and create users; only an admin may set it.

        Raises:
            BadInput: the address is invalid, or there is nothing to change.
            NotFound: there is none with that name.
            Refused: you may not change it, or no admin would be left.
        """
        from orchestra.interface.user_changes import SetUser

        if email is None and mail is None and admin is None:
            raise BadInput("nothing to change was given: email, mail or admin.")
        whom = self._session.user_name if name is None else name_of(name)
        return self._session(SetUser(whom, email, mail, admin))

    def limit(
        self,
        name: str | User,
        *,
        cpus: int | Unchanged | None = UNCHANGED,
        gpus: float | Unchanged | None = UNCHANGED,
        running: int | Unchanged | None = UNCHANGED,
        shares: float | None = None,
    ) -> User:
        """Change what the running jobs of a user may take together, and the user's shares. Return the user.

        Args:
            name: the user.
            cpus: CPU slots; None removes the limit.
            gpus: GPUs, such as 4 or 0.5; None removes the limit.
            running: jobs; None removes the limit.
            shares: the weight in the order between users, 1 by default; None leaves it as it is.

        Raises:
            BadInput: a value cannot be used, or there is nothing to change.
            NotFound: there is none with that name.
            Refused: you are not an admin.
        """
        from orchestra.interface.user_changes import LimitUser

        given = {UserLimit.CPUS: cpus, UserLimit.GPUS: gpus, UserLimit.RUNNING: running}
        new = NewLimits(
            cpus=_some(cpus, lambda n: words.whole("cpus", n, least=0)),
            gpu_milli=_some(gpus, lambda n: parse_gpus(str(n))),
            running=_some(running, lambda n: words.whole("running", n, least=0)),
            shares=None if shares is None else _number("shares", shares),
            removed=tuple(limit for limit, value in given.items() if value is None),
        )
        return self._session(LimitUser(name_of(name), new))

    def delete(self, name: str | User) -> None:
        """Delete a user who has no tasks and no data sets.

        Raises:
            NotFound, Refused: there is no such user, they have tasks or data sets, or you may not delete them.
        """
        from orchestra.interface.user_changes import DeleteUser

        self._session(DeleteUser(name_of(name)))

    def create_token(
        self,
        user: str | User | None = None,
        *,
        expires: words.Duration | None = None,
        label: str = "",
        admin: bool = True,
    ) -> NewToken:
        """Make a token for a server, by default yours. Its `secret` is known only now.

        Args:
            user: whose it is; only an admin makes one for somebody else, which carries no Unix account.
            expires: how long it works, such as "30d"; None for until it is revoked.
            label: what it is for.
            admin: whether it carries your rights as an admin.

        Raises:
            BadInput, NotFound: the label, the time or the user cannot be used.
            Refused: it is for somebody else, and you are not an admin.
        """
        from orchestra.interface.tokens import CreateToken

        whose = None if user is None else name_of(user)
        seconds = None if expires is None else words.seconds("expires", expires)
        return self._session(CreateToken(whose, label, seconds, admin))

    def tokens(self, user: str | User | None = None) -> builtins.list[Token]:
        """Return a user's tokens without their secrets, by default yours; also those that have ended, for a month.

        Raises:
            NotFound, Refused: there is no such user, or you may not see them.
        """
        from orchestra.interface.tokens import ListTokens

        return [*self._session(ListTokens(None if user is None else name_of(user)))]

    def revoke_token(self, token: int | Token) -> Token:
        """Revoke a token, and end the sessions that began with it.

        Raises:
            NotFound, Refused: there is no such token, or you may not revoke it.
        """
        from orchestra.interface.tokens import RevokeToken

        number = token if isinstance(token, int) else token.id
        return self._session(RevokeToken(words.whole("token", number, least=0)))


def _some(value: T | Unchanged | None, read: Callable[[T], int]) -> int | None:
    return None if value is UNCHANGED or value is None else read(value)


def _number(what: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadInput(f"{what} needs a number, not {value!r}.")
    return float(value)


def name_of(user: str | User) -> str:
    """Return a user's name.

    Raises:
        BadInput: it is neither.
    """
    return words.text("a user, or their name,", user.name if isinstance(user, User) else user)
