"""Users: create, list, change, delete; each is one transaction."""

from __future__ import annotations

import psycopg

from orchestra.domain import human
from orchestra.domain.caller import Caller
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.models.users import NewLimits, User
from orchestra.domain.naming import check_email, check_user_name
from orchestra.domain.nearest import nearest
from orchestra.domain.storable import check_text
from orchestra.domain.user_limits import check_new
from orchestra.domain.wording import Action, words
from orchestra.services.users.rights import check_admin
from orchestra.store import users as store
from orchestra.store.driver import channels
from orchestra.store.driver.database import in_transaction


def create(conn: psycopg.Connection, caller: Caller, name: str, email: str) -> User:
    """Create a user other than the caller.

    Raises:
        BadInput: the name or the address is invalid.
        AlreadyExists: the name is taken.
        Refused: the caller is not an admin.
    """
    check_admin(caller, "create other users")
    return create_own(conn, name, email)


def create_own(conn: psycopg.Connection, name: str, email: str) -> User:
    """Create the caller's own user, which needs no right; the first user is an admin.

    Raises:
        BadInput: the name or the address is invalid.
        AlreadyExists: the name is taken.
    """
    user = _make(conn, name, email)
    if user is None:
        raise AlreadyExists(
            f'a user "{name}" already exists.',
            hint=words(Action.LIST_USERS, " shows all."),
            kind="user",
            name=name,
        )
    return user


def ensure(conn: psycopg.Connection, name: str, email: str) -> tuple[User, bool]:
    """Return the user with a name, created if missing, and whether it was created now.

    Raises:
        BadInput: the name or the address is invalid.
    """
    if user := store.by_name(conn, _typed(name)):
        return user, False
    made = _make(conn, name, email)
    return made or get(conn, name), made is not None


def _make(conn: psycopg.Connection, name: str, email: str) -> User | None:
    check_user_name(name)
    check_email(email)

    def work() -> User | None:
        store.lock_admins(conn)
        return store.insert(conn, name, email)

    return in_transaction(conn, work)


def get(conn: psycopg.Connection, name: str) -> User:
    """Return the user with a name.

    Raises:
        NotFound: there is none.
    """
    user = store.by_name(conn, _typed(name))
    if user is None:
        raise _missing(conn, name)
    return user


def everybody(conn: psycopg.Connection) -> list[User]:
    """Return all users by name."""
    return store.everybody(conn)


def change(
    conn: psycopg.Connection,
    caller: Caller,
    name: str,
    *,
    email: str | None = None,
    mail: bool | None = None,
    admin: bool | None = None,
) -> User:
    """Change a user's address, whether they want mail, and whether they are an admin; None leaves it as it is.

    Raises:
        BadInput: the address is invalid.
        NotFound: there is no user with that name.
        Refused: it is another user, or `admin` is given, and the caller is not an admin; or no admin would be left.
    """
    if email is not None:
        check_email(email)
    if admin is not None:
        check_admin(caller, "change who is an admin")

    def work() -> User:
        store.lock_admins(conn)
        person = get(conn, name)
        _check_self(caller, person, "change")
        if admin is False:
            _check_not_last(conn, person, leaves=False)
        return store.change(conn, person.id, email, mail, admin)

    return in_transaction(conn, work)


def limit(conn: psycopg.Connection, caller: Caller, name: str, new: NewLimits) -> User:
    """Change what the running jobs of a user may take together, and the user's shares.

    Raises:
        BadInput: a value cannot be used, or there is nothing to change.
        NotFound: there is no user with that name.
        Refused: the caller is not an admin.
    """
    check_admin(caller, "limit users")
    check_new(new)

    def work() -> User:
        if not store.lock(conn, _typed(name)):
            raise _missing(conn, name)
        channels.notify_workers(conn)  # more may be allowed now
        return store.set_limits(conn, get(conn, name).id, new)

    return in_transaction(conn, work)


def delete(conn: psycopg.Connection, caller: Caller, name: str) -> None:
    """Delete a user who has no tasks and no data sets; their nodes go to the admins.

    Raises:
        NotFound: there is none with that name.
        Refused: it is another user, and the caller is not an admin; they have tasks or data sets; or the other users
            would be left without an admin.
    """
    in_transaction(conn, lambda: _delete(conn, caller, name))


def _delete(conn: psycopg.Connection, caller: Caller, name: str) -> None:
    store.lock_admins(conn)
    if not store.lock(conn, _typed(name)):
        raise _missing(conn, name)
    person = get(conn, name)
    _check_self(caller, person, "delete")
    _check_not_last(conn, person, leaves=True)
    tasks, datasets = store.possessions(conn, person.id)
    if tasks or datasets:
        has = [human.count(n, noun) for n, noun in ((tasks, "task"), (datasets, "data set")) if n]
        shown = Action.LIST_TASKS_OF(user=name) if tasks else Action.LIST_DATASETS_OF(user=name)
        raise Refused(
            f'user "{name}" still has {human.listed(has)}.',
            hint=words(shown, " shows them; delete them first."),
        )
    try:
        with conn.transaction():
            store.delete(conn, person.id)
    except psycopg.errors.ForeignKeyViolation:
        raise Refused(
            f'files that user "{name}" registered are inputs of other people\'s tasks.'
        ) from None


def _check_self(caller: Caller, person: User, to_do: str) -> None:
    if caller.name != person.name:
        check_admin(caller, f'{to_do} user "{person.name}"')


def _check_not_last(conn: psycopg.Connection, person: User, *, leaves: bool) -> None:
    """Refuse to leave users without an admin. The only user may go: the next one is the first again."""
    others = [user for user in store.everybody(conn) if user.id != person.id]
    if not person.is_admin or any(user.is_admin for user in others) or (leaves and not others):
        return
    raise Refused(
        f'user "{person.name}" is the only admin.',
        hint=words("Make another user an admin first: ", Action.MAKE_ADMIN(name=others[0].name))
        if others
        else "There is no other user yet, and there is always an admin.",
    )


def _typed(name: str) -> str:
    return check_text(f'the user name "{human.one_line(name)}"', name)


def _missing(conn: psycopg.Connection, name: str) -> NotFound:
    names = [user.name for user in store.everybody(conn)]
    guess = nearest(name, names)
    return NotFound(
        f'there is no user "{name}".' + (f' Did you mean "{guess}"?' if guess else ""),
        hint=None if guess else words(Action.CREATE_USER(name=name), " creates one."),
        kind="user",
        name=name,
    )
