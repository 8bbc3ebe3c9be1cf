"""The interface that carries out the current user's requests, over a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.wiring import Say, say_nothing

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.interface.local import Local


def open_interface(settings: Settings, *, say: Say = say_nothing) -> Local:
    """Return an interface; the embedded database is started if necessary.

    Raises:
        ConfigurationError, DatabaseUnavailable, SchemaMismatch: as `open_database`.
    """
    from orchestra.wiring.database import open_database

    return _interface_over(open_database(settings, say=say), settings, say)


def reopen_interface(settings: Settings, *, name: str) -> Local:
    """Return an interface for a process that outlives the database, connected by `reconnect`.

    Raises:
        DatabaseUnavailable: the database cannot be reached.
    """
    from orchestra.wiring.database import reconnect

    return _interface_over(reconnect(settings, name=name), settings, say_nothing)


def open_quick_interface(settings: Settings, *, patience: float) -> Local:
    """Return an interface for one quick question: nothing is started, and the schema is not checked.

    Connecting takes at most `patience` seconds, and so does each statement.

    Raises:
        ConfigurationError, DatabaseUnavailable: the database cannot be reached at once.
    """
    from orchestra.store.driver import database
    from orchestra.wiring.database import running_url

    conn = database.connect(
        running_url(settings),
        name="maestro completion",
        connect_timeout=patience,
        statement_timeout=patience,
    )
    return _interface_over(conn, settings, say_nothing)


def _interface_over(conn: psycopg.Connection, settings: Settings, say: Say) -> Local:
    from orchestra.interface.local import Local
    from orchestra.wiring.identity import current_caller, user_name

    return Local(conn, user_name(settings), lambda conn: current_caller(conn, settings, say))
