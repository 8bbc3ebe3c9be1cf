"""Who runs this, and on which machine: the names of the user, the host and the node."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from orchestra.domain.naming import as_name, is_real_address
from orchestra.wiring import Say

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.domain.caller import Caller
    from orchestra.domain.identities import UnixAccount
    from orchestra.domain.models.users import User


def host_name() -> str:
    """Return the host's name without its domain, with only the characters that a node's name may have."""
    return as_name(socket.gethostname().partition(".")[0]) or "localhost"


def node_name(settings: Settings) -> str:
    """Return the name of this machine as a node."""
    return settings.node or host_name()


def user_name(settings: Settings) -> str:
    """Return the current user's name in Orchestra; characters that it may not have become "_"."""
    if settings.username:
        return settings.username
    return as_name(_login_name()) or "_"


def _login_name() -> str:
    if name := os.environ.get("USER"):
        return name
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without an entry in passwd, as in containers
        return f"uid{os.geteuid()}"


def unix_account() -> UnixAccount:
    """Return the Unix account of this process."""
    from orchestra.domain.identities import UnixAccount
    from orchestra.files import local_machine

    return UnixAccount(local_machine.account(), local_machine.host())


def account_name(uid: int) -> str:
    """Return the name of a Unix account, or its number if it has none, as `local_machine.account`."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def current_caller(conn: psycopg.Connection, settings: Settings, say: Say) -> Caller:
    """Return the current user with their rights; the user is created if necessary.

    Raises:
        BadInput: the configured name or e-mail address is not valid.
    """
    from orchestra.domain.caller import Caller
    from orchestra.services.users import users

    name = user_name(settings)
    user, is_new = users.ensure(conn, name, settings.email or f"{name}@{host_name()}")
    if is_new:
        say(f"created user {user.name} ({user.email})")
    return Caller.of(_as_configured(conn, settings, user))


def _as_configured(conn: psycopg.Connection, settings: Settings, user: User) -> User:
    """Store the configured e-mail address, if the user has a made-up one, and the choice whether to get mail."""
    from orchestra.domain.caller import Caller
    from orchestra.services.users import users

    email, mail = None, None
    if settings.email and settings.email != user.email and not is_real_address(user.email):
        email = settings.email
    if settings.mail and (settings.mail == "on") is not user.mail:
        mail = settings.mail == "on"
    if email is None and mail is None:
        return user
    return users.change(conn, Caller.of(user), user.name, email=email, mail=mail)
