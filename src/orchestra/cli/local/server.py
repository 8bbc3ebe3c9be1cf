"""`maestro server`: the pages, the REST API, and the command line of others over HTTP."""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.local import server_install
from orchestra.cli.local.connection import database
from orchestra.cli.registry import Verb
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.config import Settings
    from orchestra.wiring.server_front import Front


def _run_arguments(parser: Parser) -> None:
    _serving_arguments(parser)
    parser.add_argument("--background", action="store_true", help=argparse.SUPPRESS)


def _serving_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="the address to listen at (default: 127.0.0.1); others need TLS, or a proxy that has it",
    )
    parser.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="the port (default: 8765, or a free one if that is taken; 0: a free one)",
    )
    parser.add_argument(
        "--socket",
        metavar="PATH",
        help="also listen at a Unix socket, whose peers need no token; its folder decides who can connect",
    )
    parser.add_argument(
        "--root",
        dest="roots",
        action="append",
        metavar="FOLDER",
        help="a folder below which it may read logs and compare files; can be repeated (default: the setting "
        "server_roots)",
    )
    parser.add_argument(
        "--uploads",
        metavar="FOLDER",
        help="where to keep files that users upload (default: the setting upload_root)",
    )
    parser.add_argument(
        "--tls-cert",
        metavar="FILE",
        help="encrypt with this certificate, a PEM file with its chain",
    )
    parser.add_argument("--tls-key", metavar="FILE", help="the key of the certificate")
    parser.add_argument(
        "--behind",
        metavar="ADDRESS",
        help="the address of a proxy whose X-Forwarded-For and X-Forwarded-Proto are believed",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PREFIX",
        help="the prefix below which the proxy offers the server, such as /orchestra",
    )
    parser.add_argument(
        "--access-log", action="store_true", help="print a line for each request to stderr"
    )


def _port(text: str) -> int:
    port = whole(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port from 0 to 65535")
    return port


def _install_arguments(parser: Parser) -> None:
    server_install.arguments(parser)
    _serving_arguments(parser)


def _install(ctx: Context) -> None:
    _front(ctx).check(ctx.args.host)
    server_install.install(ctx)


def _front(ctx: Context) -> Front:
    from orchestra.wiring.server_front import Front

    args = ctx.args
    prefix = args.root_path.rstrip("/")
    return Front(args.tls_cert, args.tls_key, args.behind, prefix, args.access_log)


def _run(ctx: Context) -> None:
    from orchestra.api.records import Record
    from orchestra.services.database import admin
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.folders import data_folder
    from orchestra.wiring.server import serve

    args = ctx.args
    front = _front(ctx)
    front.check(args.host)
    with database(ctx) as conn:
        cluster = admin.cluster_id(conn)
    settings = _with_folders(ctx)
    sockets = [_tcp(args.host, args.port)]
    name, port = sockets[0].getsockname()[:2]
    if name in ("0.0.0.0", "::"):  # noqa: S104 - where it listens, not where it is reached
        name = socket.gethostname()
    url = f"{front.scheme}://{f'[{name}]' if ':' in name else name}:{port}{front.root_path}"
    if args.socket:
        sockets.append(_unix(args.socket))
    print(url, flush=True)
    if not (args.background or front.behind or front.tls_cert):
        ctx.out.note(
            f"To reach it from your own machine: ssh -L {port}:{name}:{port} {socket.gethostname()}"
        )
    data = "" if uses_server(settings) else str(data_folder(settings))
    record = Record(os.getpid(), url, args.socket, args.background, data)
    serve(settings, sockets, cluster, record, front)


def _with_folders(ctx: Context) -> Settings:
    """Return the settings with the folders that the arguments name.

    Raises:
        VolumeError, ConfigurationError: a folder cannot be used.
    """
    from dataclasses import replace

    from orchestra.files.local_machine import full_path
    from orchestra.wiring.server import served_roots
    from orchestra.wiring.uploads import upload_store

    found = ctx.settings
    if ctx.args.roots:
        found = replace(found, server_roots=tuple(full_path(each) for each in ctx.args.roots))
    if ctx.args.uploads:
        found = replace(found, upload_root=Path(full_path(ctx.args.uploads)))
    served_roots(found)
    upload_store(found)
    return found


def _tcp(host: str, port: int | None) -> socket.socket:
    from orchestra.wiring.server_sockets import listen

    try:
        return listen(host, port)
    except OSError as error:
        where = host if port is None else f"{host}:{port}"
        raise BadInput(f"the server cannot listen at {where}: {error.strerror}.") from None


def _unix(path: str) -> socket.socket:
    from orchestra.wiring.server_sockets import listen_at_socket

    try:
        return listen_at_socket(path)
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"the server cannot listen at {path}: {reason}.") from None


VERBS = (
    Verb(
        "run",
        "serve the pages, the REST API and commands over HTTP",
        _run,
        _run_arguments,
        description="Serve the pages, the REST API and commands over HTTP until Ctrl-C or SIGTERM. It keeps no state: "
        "several can run beside each other, and jobs do not notice when one ends. Its address is printed.",
        example="maestro server run --port 8765",
    ),
    Verb(
        "install",
        "start a server at each boot, and restart it when it ends",
        _install,
        _install_arguments,
        description=server_install.DESCRIPTION,
        example=server_install.EXAMPLE,
    ),
)
