"""`maestro web`: a link that signs a browser in once."""

from __future__ import annotations

import os
import socket
import webbrowser
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from orchestra.cli.local.connection import database
from orchestra.cli.registry import Verb
from orchestra.domain.errors import BadInput, NotFound
from orchestra.files.handover_page import handover_page
from orchestra.interface.remote.link import SOCKET
from orchestra.interface.sessions import MakeSignInCode

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser


def _arguments(parser: Parser) -> None:
    parser.add_argument(
        "--address",
        metavar="URL",
        help="the address of the pages, where it is not known here: "
        "that of a server of another account, or of a proxy",
    )
    parser.add_argument("--print", action="store_true", help="print the link, open no browser")


def _web(ctx: Context) -> None:
    address = _checked(ctx.args.address) if ctx.args.address else _configured(ctx)
    with ctx.interface() as ask:
        made = ask(MakeSignInCode())
    address = address or made.address
    if address is None:
        raise BadInput(
            "the server does not know the address of its pages, because a proxy is before it.",
            hint="Give it: maestro web --address https://orchestra.example.org",
        )
    link = f"{address}/in#{made.code}"
    ctx.out.say(link)
    ctx.out.note("It signs a browser in as you, once, within a minute.")
    if hint := _through_ssh(address):
        ctx.out.note(hint)
    elif not ctx.args.print:
        _open(link)


def _configured(ctx: Context) -> str | None:
    """Return where the pages are; None where only the server knows.

    Raises:
        NotFound: without a server in the configuration, none of this account runs on this machine.
    """
    from orchestra.services.database import admin
    from orchestra.wiring.server_processes import running_servers

    settings = ctx.settings
    if settings.server is not None:
        return None if settings.server.startswith(SOCKET) else settings.server.rstrip("/")
    with database(ctx) as conn:
        running = running_servers(settings, admin.cluster_id(conn))
    if not running:
        raise NotFound(
            "no server of your account runs on this machine.",
            hint="maestro up starts one; maestro web --address URL makes a link for another one.",
        )
    return running[-1].url


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and parts.hostname and not parts.fragment
    except ValueError:
        known = None
    if not known:
        raise BadInput(
            f'"{address}" is not the address of a server.', hint="For example http://127.0.0.1:8765"
        )
    return address.rstrip("/")


def _through_ssh(address: str) -> str | None:
    """Return how to reach a page of this machine from the one that somebody has logged in from."""
    parts = urlsplit(address)
    if "SSH_CONNECTION" not in os.environ or parts.hostname not in (
        "127.0.0.1",
        "::1",
        "localhost",
    ):
        return None
    port = parts.port or 80
    return f"To reach it from your own machine: ssh -L {port}:{parts.hostname}:{port} {socket.gethostname()}"


def _open(link: str) -> None:
    """Open a link in a graphical browser, if there is one."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return
    # Not the link itself: every account of this machine can read the arguments of a process.
    with suppress(OSError, webbrowser.Error):
        webbrowser.open(handover_page(link).as_uri())


VERBS = (
    Verb(
        "web",
        "sign a browser in to the pages",
        _web,
        _arguments,
        description="Print a link that signs a browser in to the pages once, and open it if this is a desktop.",
        example="maestro web\nmaestro web --address https://orchestra.example.org",
    ),
)
