"""The server: its connections, its sockets, and the process that serves them."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import EADDRINUSE
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestra.domain.errors import DatabaseUnavailable, OrchestraError
from orchestra.domain.naming import as_name
from orchestra.wiring import say_nothing

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from orchestra.api.endpoints import Endpoint
    from orchestra.api.server import Server
    from orchestra.config import Settings
    from orchestra.domain.identities import Identity
    from orchestra.domain.models.users import User
    from orchestra.interface.operation import Interface, Request

DEFAULT_PORT = 8765
CONNECTIONS = 10
WAIT_FOR_CONNECTION = 4.0
STREAMS_END_WITHIN = 2
"""Seconds that open streams get after SIGTERM."""
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


def make_server(settings: Settings, database: Database, **options: Any) -> Server:
    """Return what the handlers need, over these connections. `options` are other fields of `Server`."""
    from orchestra.api.identity import account_name
    from orchestra.api.server import Server
    from orchestra.interface import codec
    from orchestra.interface.local import Local
    from orchestra.services import answers
    from orchestra.services.users import users
    from orchestra.wiring.identity import current_caller, host_name

    def local(conn: psycopg.Connection, identity: Identity) -> Local:
        return Local(conn, identity.user.name, lambda _: identity.caller)

    @contextmanager
    def interface(identity: Identity) -> Iterator[Interface]:
        with database.connection() as conn:
            yield local(conn, identity)

    def once(identity: Identity, key: str, asked: Request[Any]) -> bytes:
        digest = sha256(type(asked).__name__.encode() + b"\0" + codec.encode(asked)).digest()
        with database.connection() as conn:
            ask = local(conn, identity)
            return answers.once(conn, identity.user, key, digest, lambda: codec.encode(ask(asked)))

    def user_of(uid: int) -> User:
        with database.connection() as conn:
            if uid == os.geteuid():
                return current_caller(conn, settings, say_nothing).user
            name = as_name(account_name(uid)) or "_"
            return users.ensure(conn, name, f"{name}@{host_name()}")[0]

    return Server(settings, interface, once, user_of, **options)


def endpoints() -> Iterator[Endpoint]:
    """Yield all that the server answers. No endpoint, no route."""
    from orchestra.api import openapi, operations
    from orchestra.web import pages, static_files

    yield from operations.endpoints()
    yield from openapi.ENDPOINTS
    yield from static_files.ENDPOINTS
    yield from pages.endpoints()


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens: the address of its pages, and the path of its Unix socket."""

    url: str
    socket: str | None


def listen(host: str, port: int | None) -> socket.socket:
    """Return a listening socket; without a port, the usual one, or any free one if that is taken.

    Raises:
        OSError: the address cannot be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in (DEFAULT_PORT, 0) if port is None else (port,):
        found = socket.socket(family, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, number))
        except OSError:
            found.close()
            if port is not None or number == 0:
                raise
        else:
            return found
    raise AssertionError("the last port is any free one")


def listen_at_socket(path: str) -> socket.socket:
    """Return a Unix socket that listens. A socket that nobody listens at any more is replaced.

    Raises:
        OSError: the path cannot be used, or another process listens there.
    """
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with suppress(ConnectionRefusedError, FileNotFoundError):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.connect(path)
            raise OSError(EADDRINUSE, os.strerror(EADDRINUSE))
        if stat.S_ISSOCK(_mode(path)):
            Path(path).unlink()
        found.bind(path)
        Path(path).chmod(0o666)  # its folder decides who can connect
    except BaseException:
        found.close()
        raise
    return found


def _mode(path: str) -> int:
    try:
        return Path(path).lstat().st_mode
    except FileNotFoundError:
        return 0


def serve(settings: Settings, sockets: list[socket.socket], **options: Any) -> None:
    """Serve until SIGTERM or Ctrl-C. `options` are those of `make_server`."""
    import uvicorn

    from orchestra.api.app import make_app
    from orchestra.api.peers import PeerProtocol
    from orchestra.web import errors

    database = Database(settings)
    server = make_server(settings, database, **options)
    config = uvicorn.Config(
        make_app(server, endpoints(), partial(errors.answer, server)),
        http=PeerProtocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=STREAMS_END_WITHIN,
    )
    database.open()
    try:
        uvicorn.Server(config).run(sockets=sockets)
    finally:
        database.close()
