"""The database that the configuration names: connect to it, start it, make or upgrade its schema."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestra.domain.errors import ConfigurationError, DatabaseSilent, DatabaseUnavailable
from orchestra.domain.wording import Action, Setting, words
from orchestra.wiring import Say, say_nothing

if TYPE_CHECKING:
    import psycopg

    from orchestra.config import Settings
    from orchestra.services.database.admin import SchemaChange
    from orchestra.services.database.upgrade import BackupPolicy


def uses_server(settings: Settings) -> bool:
    """Whether the configuration names a PostgreSQL server; without one, the embedded database is used."""
    return settings.postgres is not None


def use_programs(settings: Settings) -> None:
    """Use the PostgreSQL programs that the configuration names; without any, search for them again."""
    if (
        settings.postgres_bin is not None
        or "orchestra.store.postgres.program_search" in sys.modules
    ):
        from orchestra.store.postgres import program_search

        program_search.use(settings.postgres_bin)


def check_database(settings: Settings) -> None:
    """Check that the configuration leads to a database, for what cannot go over HTTP.

    Raises:
        ConfigurationError: it names only a server.
    """
    if settings.postgres is None and settings.server is not None:
        raise ConfigurationError(
            f"this needs the database itself, and {settings.origin('server')} names only a server.",
            hint='Set "postgres", or run it without "server" on the machine that has the database.',
        )


def database_url(settings: Settings, *, say: Say = say_nothing) -> str:
    """Return the address of the database, with its password. The embedded one is created and started if necessary.

    Raises:
        ConfigurationError, DatabaseUnavailable, Refused, VolumeError: there is no database.
    """
    if settings.postgres is not None:
        return settings.postgres
    check_database(settings)
    from orchestra.store.postgres import embedded

    return embedded.ensure_running(settings.data_dir, say)


def running_url(settings: Settings) -> str:
    """Return the address of the database without starting one.

    Raises:
        DatabaseUnavailable: the embedded database is not running.
    """
    if settings.postgres is not None:
        return settings.postgres
    check_database(settings)
    from orchestra.store.postgres import embedded

    url = embedded.url_if_running(settings.data_dir)
    if url is None:
        raise DatabaseUnavailable(
            "the embedded database is not running.", hint=words(Action.START_DATABASE)
        )
    return url


def server_address(url: str) -> str:
    """Return "host:port/database" of a server, for people; without the password.

    Raises:
        ConfigurationError: it is not an address.
    """
    from orchestra.store.driver.database import check_address

    parts = check_address(url)
    host = parts.get("host") or parts.get("hostaddr") or "localhost"
    return f"{host}:{parts.get('port', '5432')}/{parts.get('dbname', '')}"


def public_address(url: str) -> dict[str, str]:
    """Return the parts of a database address that are not secret; empty if it contains no secret.

    Raises:
        ConfigurationError: it is not an address.
    """
    from orchestra.store.driver.database import parts_of

    public, secret = parts_of(url)
    return public if secret else {}


def open_database(
    settings: Settings, *, need_schema: bool = True, say: Say = say_nothing
) -> psycopg.Connection:
    """Return an autocommit connection to a database that this program can work with.

    The embedded database is started if necessary, and its schema created or upgraded. The schema of a server is only
    checked: its owner upgrades it (`maestro user init`). With `need_schema=False` the schema is ignored in both cases.

    Raises:
        ConfigurationError, DatabaseUnavailable: it cannot be reached; the sentence says why.
        SchemaMismatch: its schema and this program do not fit.
    """
    from orchestra.store.schema import migrate

    use_programs(settings)
    conn = _connect_if_ready(settings) or connect(settings, database_url(settings, say=say))
    try:
        if need_schema and not migrate.is_current(conn):
            if uses_server(settings):
                migrate.check(conn)
            else:
                upgrade(conn, settings, say=say)
    except BaseException:
        conn.close()
        raise
    return conn


def _connect_if_ready(settings: Settings) -> psycopg.Connection | None:
    """Connect to an embedded database that seems to run, without the checks of a start."""
    if uses_server(settings) or settings.server is not None:
        return None
    from orchestra.store.driver import database
    from orchestra.store.postgres import embedded

    url = embedded.url_if_ready(settings.data_dir)
    try:
        return database.connect(url) if url else None
    except DatabaseSilent:
        raise  # it runs, so starting it would not help
    except DatabaseUnavailable:
        return None  # it was killed or is starting: the checks of a start find out


def connect(
    settings: Settings, url: str | None = None, *, name: str = "maestro", repeats: bool = False
) -> psycopg.Connection:
    """Connect, without checking the schema and without starting a database; `repeats` as in `store/driver/database.py`.

    Raises:
        ConfigurationError, DatabaseUnavailable: it cannot be reached; the hint says what to check.
    """
    from orchestra.store.driver import database

    try:
        return database.connect(url or running_url(settings), name=name, repeats=repeats)
    except (ConfigurationError, DatabaseUnavailable) as error:
        if settings.postgres is not None:
            place = _postgres_place(settings)
            error.reword(lambda term: place if term.setting is Setting.POSTGRES else term)
        raise


def _postgres_place(settings: Settings) -> str:
    origin = settings.origin("postgres")
    if settings.postgres_file is not None:
        return origin
    return origin if origin.startswith("MAESTRO_") else f'"postgres" in {origin}'


def reconnect(settings: Settings, *, name: str, repeats: bool = False) -> psycopg.Connection:
    """Connect from a process that outlives the database: one that was killed is restarted, one that was stopped is not.

    Raises:
        DatabaseUnavailable: it cannot be reached.
    """
    url = settings.postgres or _restarted_url(settings)
    return connect(settings, url, name=name, repeats=repeats)


def _restarted_url(settings: Settings) -> str:
    from orchestra.store.postgres import embedded, postmaster

    check_database(settings)
    if url := embedded.url_if_running(settings.data_dir):
        return url
    use_programs(settings)
    place = postmaster.Place(embedded.status(settings.data_dir).data_dir)
    with postmaster.one_at_a_time(place):
        # PostgreSQL removes this file at a clean shutdown.
        was_killed = (place.cluster / "postmaster.pid").exists()
    if not was_killed:
        raise DatabaseUnavailable(
            "the embedded database was stopped.", hint=words(Action.START_DATABASE)
        )
    return embedded.ensure_running(settings.data_dir)


def upgrade(
    conn: psycopg.Connection, settings: Settings, *, say: Say = say_nothing
) -> SchemaChange:
    """Create or upgrade the schema, of the embedded database or of a server. A dump is taken before an upgrade.

    Raises:
        SchemaMismatch: the schema is newer than this program, or not Orchestra's.
        DatabaseUnavailable: the database's user may not create a schema.
        VolumeError: there is not enough space for the dump.
    """
    from orchestra.services.database import upgrade

    return upgrade.to_newest(conn, running_url(settings), backup_policy(settings), say)


def backup_policy(settings: Settings) -> BackupPolicy:
    """Return where and how many automatic dumps are kept."""
    from orchestra.services.database.upgrade import BackupPolicy
    from orchestra.wiring.folders import data_folder

    backups = data_folder(settings) / "backups"
    return BackupPolicy(backups, settings.dumps_kept, settings.dump_limit)
