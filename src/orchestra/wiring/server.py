"""The server: its connections, its sockets, and the process that serves them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.domain.errors import ConfigurationError, DatabaseUnavailable, OrchestraError
from orchestra.wiring.server_front import Front

if TYPE_CHECKING:
    from types import FrameType

    import psycopg
    import uvicorn
    from psycopg_pool import ConnectionPool

    from orchestra.api.endpoints import Endpoint
    from orchestra.api.records import Record
    from orchestra.api.server import Server
    from orchestra.config import Settings
    from orchestra.domain.identities import Identity
    from orchestra.domain.models.figures import Figures
    from orchestra.interface.operation import Interface, Request

CONNECTIONS = 10
WAIT_FOR_CONNECTION = 4.0
STREAMS_END_WITHIN = 2
"""Seconds that open streams get after SIGTERM."""
BACKLOG = 2048
KEEP_ALIVE = 75
"""Seconds for which an idle connection is kept."""


class Database:
    """The server's connections. Each serves one request at a time; lost ones are replaced."""

    def __init__(self, settings: Settings) -> None:
        import psycopg
        from psycopg_pool import ConnectionPool

        from orchestra.wiring.database import reconnect

        last: list[OrchestraError] = []

        class Connector(psycopg.Connection[Any]):
            """Makes the connections of the pool, which expects a class."""

            @classmethod
            def connect(cls, _conninfo: str = "", **_options: Any) -> Any:  # type: ignore[override]
                try:
                    return reconnect(settings, name="maestro server")
                except OrchestraError as error:
                    last[:] = [error]
                    raise psycopg.OperationalError(str(error)) from None

        self._last = last
        self._pool: ConnectionPool[Any] = ConnectionPool(
            connection_class=Connector,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_FOR_CONNECTION,
            check=ConnectionPool.check_connection,
            open=False,
        )

    def open(self) -> None:
        """Begin to connect, in the background."""
        self._pool.open()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close(timeout=1)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        """Provide a connection for the block.

        Raises:
            DatabaseUnavailable: there is none within a few seconds.
        """
        from psycopg_pool import PoolTimeout

        self._last.clear()
        try:
            conn = self._pool.getconn()
        except PoolTimeout:
            if self._last:
                raise self._last[0] from None
            raise DatabaseUnavailable("all connections of the server are in use.") from None
        try:
            yield conn
        finally:
            self._pool.putconn(conn)


def served_roots(settings: Settings) -> tuple[str, ...]:
    """Return the folders below which the server may read files.

    Raises:
        ConfigurationError: one of them is no full path.
    """
    if settings.server_roots is None:
        return (str(settings.volume),) if settings.volume else ()
    for root in settings.server_roots:
        if not root.startswith("/"):
            raise ConfigurationError(
                f'{settings.origin("server_roots")}: server_roots needs full paths, not "{root}".'
            )
    return tuple(str(Path(root)) for root in settings.server_roots)


def make_server(
    settings: Settings, database: Database, *, address: str | None = None, **options: Any
) -> Server:
    """Return what the handlers need, over these connections.

    `address` is that of the pages, None where only a proxy knows it. `options` are other fields of `Server`.
    """
    from orchestra.api.hub import Hub
    from orchestra.api.server import Server
    from orchestra.files.served_logs import ServedLogs
    from orchestra.interface import codec
    from orchestra.interface.local import Local, Through
    from orchestra.services import answers, datasets
    from orchestra.services.database import figures
    from orchestra.services.database.watching import Watcher
    from orchestra.wiring.database import reconnect
    from orchestra.wiring.server_accounts import DatabaseAccounts
    from orchestra.wiring.uploads import upload_store

    roots = served_roots(settings)
    logs = ServedLogs([Path(root) for root in roots])

    def local(conn: psycopg.Connection, identity: Identity) -> Local:
        return Local.behind(conn, Through(identity, settings.open_logs, address), logs.read)

    @contextmanager
    def interface(identity: Identity) -> Iterator[Interface]:
        with database.connection() as conn:
            yield local(conn, identity)

    def once(identity: Identity, key: str, asked: Request[Any]) -> bytes:
        digest = sha256(type(asked).__name__.encode() + b"\0" + codec.encode(asked)).digest()
        with database.connection() as conn:
            ask = local(conn, identity)
            return answers.once(conn, identity.user, key, digest, lambda: codec.encode(ask(asked)))

    def open_watch() -> Watcher:
        return Watcher(lambda: reconnect(settings, name="maestro server watching", repeats=True))

    def check() -> None:
        with database.connection() as conn:
            conn.execute("select 1")

    def read_figures() -> Figures:
        with database.connection() as conn:
            return figures.read(conn)

    accounts = DatabaseAccounts(settings, database.connection)
    hosts = frozenset(name.lower() for name in (*settings.server_names, socket.gethostname()))

    def roots_in_use(prefix: str) -> set[str]:
        with database.connection() as conn:
            return datasets.roots_in_use(conn, prefix)

    return Server(
        settings,
        interface,
        once,
        accounts,
        Hub(open_watch),
        check=check,
        figures=read_figures,
        hosts=hosts,
        roots=roots,
        uploads=upload_store(settings),
        roots_in_use=roots_in_use,
        **options,
    )


def endpoints() -> Iterator[Endpoint]:
    """Yield all that the server answers. No endpoint, no route."""
    from orchestra.api import health, logs, openapi, operations, results, streams, uploads, usage
    from orchestra.web import pages, static_files

    yield from operations.endpoints(but=streams.REPLACED)
    yield from streams.ENDPOINTS
    yield from uploads.ENDPOINTS
    yield from openapi.ENDPOINTS
    yield from health.ENDPOINTS
    yield from logs.ENDPOINTS
    yield from results.ENDPOINTS
    yield from usage.ENDPOINTS
    yield from static_files.ENDPOINTS
    yield from pages.endpoints()


def serve(
    settings: Settings, sockets: list[socket.socket], cluster: str, record: Record, front: Front
) -> None:
    """Serve until SIGTERM or Ctrl-C, and tell the commands of this account so."""
    from orchestra.api.records import announced
    from orchestra.wiring.folders import servers_folder
    from orchestra.wiring.uploads import swept

    for each in sockets:
        each.listen(BACKLOG)
    database = Database(settings)
    server = make_server(
        settings,
        database,
        address=None if front.behind else record.url,
        cluster=cluster,
        root_path=front.root_path,
    )
    process = make_process(server, front)
    database.open()
    try:
        with announced(servers_folder(settings, cluster), record), swept(server):
            process.run(sockets=sockets)
    finally:
        database.close()


def make_process(server: Server, front: Front | None = None) -> uvicorn.Server:
    """Return what serves at sockets, with `run`."""
    import uvicorn

    from orchestra.api.access import Noted
    from orchestra.api.app import make_app
    from orchestra.api.peers import PeerProtocol
    from orchestra.web import errors

    front = front or Front()
    app = make_app(server, endpoints(), partial(errors.answer, server))
    config = uvicorn.Config(
        Noted(app, server.requests, _say if front.access_log else None),
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STREAMS_END_WITHIN,
        **front.options(),
    )

    class Process(uvicorn.Server):
        """Ends open streams at a signal, and does not wait until their readers have left."""

        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            server.hub.close()
            super().handle_exit(sig, frame)

    return Process(config)


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
