"""What can be done with people: make, list, delete; each one transaction."""

from __future__ import annotations

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import AlreadyExists, NotFound, Refused
from orchestra.domain.models.people import User
from orchestra.domain.naming import check_email, check_user_name
from orchestra.domain.nearest import nearest
from orchestra.domain.storable import check_text
from orchestra.services.rights import check_may_change
from orchestra.store import users as store
from orchestra.store.database import in_transaction


def create(conn: psycopg.Connection, name: str, email: str) -> User:
    """Make a person.

    Raises:
        BadInput: the name or the address is none.
        AlreadyExists: the name is taken.
    """
    check_user_name(name)
    check_email(email)
    user = in_transaction(conn, lambda: store.insert(conn, name, email))
    if user is None:
        raise AlreadyExists(
            f'there is a user "{name}" already.', hint="maestro user list shows all."
        )
    return user


def ensure(conn: psycopg.Connection, name: str, email: str) -> tuple[User, bool]:
    """Give the person of that name, made on first need; and whether they were made now.

    Raises:
        BadInput: the name or the address is none.
    """
    if user := store.by_name(conn, _typed(name)):
        return user, False
    check_user_name(name)
    check_email(email)
    made = in_transaction(conn, lambda: store.insert(conn, name, email))
    return made or get(conn, name), made is not None


def get(conn: psycopg.Connection, name: str) -> User:
    """Give the person of that name.

    Raises:
        NotFound: there is none.
    """
    user = store.by_name(conn, _typed(name))
    if user is None:
        raise _missing(conn, name)
    return user


def everybody(conn: psycopg.Connection) -> list[User]:
    """Give all people by name."""
    return store.everybody(conn)


def change(
    conn: psycopg.Connection,
    name: str,
    by: User,
    *,
    email: str | None = None,
    mail: bool | None = None,
) -> User:
    """Change a person's address, and whether they want mail; what is None stays.

    Raises:
        BadInput: the address is none.
        NotFound: there is nobody of that name.
        Refused: it is somebody else, and `by` is no admin.
    """
    if email is not None:
        check_email(email)
    person = get(conn, name)
    check_may_change(by, person.name, f'the address of user "{name}"')
    return in_transaction(conn, lambda: store.change(conn, person.id, email, mail))


def delete(conn: psycopg.Connection, name: str) -> None:
    """Delete a person who has no tasks and no data sets.

    Raises:
        NotFound: there is none of that name.
        Refused: they have tasks or data sets.
    """
    in_transaction(conn, lambda: _delete(conn, name))


def _delete(conn: psycopg.Connection, name: str) -> None:
    person = store.lock(conn, _typed(name))
    if person is None:
        raise _missing(conn, name)
    tasks, datasets = store.possessions(conn, person)
    if tasks or datasets:
        has = [human.count(n, noun) for n, noun in ((tasks, "task"), (datasets, "data set")) if n]
        raise Refused(
            f'user "{name}" still has {human.listed(has)}.',
            hint=f"maestro {'task' if tasks else 'dataset'} list -u {name} shows them; delete them first.",
        )
    try:
        with conn.transaction():
            store.delete(conn, person)
    except psycopg.errors.ForeignKeyViolation:
        raise Refused(
            f'files that user "{name}" registered are inputs of other people\'s tasks.'
        ) from None


def _typed(name: str) -> str:
    return check_text(f'the user name "{human.one_line(name)}"', name)


def _missing(conn: psycopg.Connection, name: str) -> NotFound:
    names = [user.name for user in store.everybody(conn)]
    guess = nearest(name, names)
    return NotFound(
        f'there is no user "{name}".' + (f' Did you mean "{guess}"?' if guess else ""),
        hint=None if guess else f"maestro user create -n {name} -e ADDRESS makes one.",
    )
