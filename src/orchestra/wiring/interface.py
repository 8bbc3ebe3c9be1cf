"""The interface that carries out the current user's requests, over a connection of its own."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from orchestra.wiring import Say, say_nothing

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.interface.local import Local
    from orchestra.interface.operation import Connected, Interface
    from orchestra.interface.remote import Remote


def open_interface(settings: Settings, *, say: Say = say_nothing) -> Connected:
    """Return an interface: over HTTP if the configuration names a server, else over a connection to the database.

    The embedded database is started if necessary.

    Raises:
        ConfigurationError, DatabaseUnavailable, SchemaMismatch: as `open_database`.
    """
    if settings.server is not None:
        return _remote(settings)
    from orchestra.wiring.database import open_database

    return _interface_over(open_database(settings, say=say), settings, say)


def reopen_interface(settings: Settings, *, name: str) -> Connected:
    """Return an interface for a process that outlives the database, connected by `reconnect`.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    if settings.server is not None:
        return _remote(settings)
    from orchestra.wiring.database import reconnect

    return _interface_over(reconnect(settings, name=name), settings, say_nothing)


def open_quick_interface(settings: Settings, *, patience: float) -> Connected:
    """Return an interface for one quick question: nothing is started, and the schema is not checked.

    Connecting takes at most `patience` seconds, and so does each statement.

    Raises:
        ConfigurationError, DatabaseUnavailable: the database cannot be reached at once.
    """
    if settings.server is not None:
        return _remote(settings, connect_within=patience, answer_within=patience)
    from orchestra.store.driver import database
    from orchestra.wiring.database import running_url

    conn = database.connect(
        running_url(settings),
        name="maestro completion",
        connect_timeout=patience,
        statement_timeout=patience,
    )
    return _interface_over(conn, settings, say_nothing)


def my_name(settings: Settings, ask: Interface | None = None) -> str:
    """Return the current user's name in Orchestra, which a server knows by itself; `ask` asks it, if it is open.

    Raises:
        OrchestraError: the server cannot be reached, or does not know who this is.
    """
    if settings.server is None:
        from orchestra.wiring.identity import user_name

        return user_name(settings)
    from orchestra.interface.me import Me

    if ask is not None:
        return ask(Me()).name
    with closing(_remote(settings)) as ask:
        return ask(Me()).name


def _remote(settings: Settings, **patience: float) -> Remote:
    from orchestra.interface.remote import Remote
    from orchestra.interface.remote.link import Link, parse_address

    assert settings.server is not None
    address = parse_address(settings.server, settings.origin("server"))
    return Remote(Link(address, settings.token, **patience))


def _interface_over(conn: psycopg.Connection, settings: Settings, say: Say) -> Local:
    from orchestra.interface.local import Local
    from orchestra.wiring.identity import current_caller, unix_account, user_name

    return Local(
        conn, user_name(settings), lambda conn: current_caller(conn, settings, say), unix_account
    )
