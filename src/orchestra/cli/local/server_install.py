"""`maestro server install`: start a server at each boot, and restart it when it ends."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.cli.local.pilot_install import kept_environment, write_service
from orchestra.cli.local.service_unit import RESTART_SECONDS, unit
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from argparse import Namespace

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser

DESCRIPTION = (
    "Start a server at each boot, and restart it when it ends: writes a systemd unit. The options of server run "
    "become those of the unit."
)
EXAMPLE = (
    "maestro server install --port 8765 --behind 127.0.0.1\n"
    "maestro server install --print --socket /run/orchestra/socket > my.service"
)
_BEHAVIOUR = (
    "Restart=always",
    f"RestartSec={RESTART_SECONDS}",
    "TimeoutStopSec=10",
    "NoNewPrivileges=yes",
)


@dataclass(frozen=True, slots=True)
class ServerService:
    """A server as a service: its argument list, with absolute paths, and the variables that it needs."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    account: str | None

    @property
    def unit_name(self) -> str:
        return f"{self.name}.service"

    @property
    def written_by(self) -> str:
        return "maestro server install"

    @property
    def description(self) -> str:
        return "Orchestra server"

    @property
    def behaviour(self) -> tuple[str, ...]:
        return _BEHAVIOUR


def arguments(parser: Parser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--system", action="store_true", help="for the whole machine (default for root)"
    )
    where.add_argument(
        "--user", action="store_true", help="for your own service manager (default for others)"
    )
    parser.add_argument(
        "--print", dest="only_print", action="store_true", help="print the unit, write nothing"
    )
    parser.add_argument(
        "--name",
        default="orchestra-server",
        metavar="UNIT",
        help="the unit's name (default: orchestra-server)",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="replace a unit without asking")


def install(ctx: Context) -> None:
    from orchestra.files import local_machine

    args = ctx.args
    if not re.fullmatch(r"[\w:.-]{1,200}", args.name, re.ASCII):
        raise BadInput(f'"{args.name}" is no name of a unit.', hint="For example: orchestra-server")
    system = args.system or (os.geteuid() == 0 and not args.user)
    path = ctx.settings.path
    config = ("--config", str(path)) if path and path.exists() else ()
    service = ServerService(
        args.name,
        # -P: a json.py in the current folder must not replace the standard library's.
        (
            sys.executable,
            "-P",
            "-m",
            "orchestra.cli.main",
            "server",
            "run",
            *config,
            *_options(args),
        ),
        kept_environment(ctx.settings, os.environ),
        local_machine.account() if system else None,
    )
    if args.only_print:
        ctx.out.say(*unit(service).rstrip("\n").split("\n"))
    else:
        write_service(ctx, service, system=system)


def _options(args: Namespace) -> Iterator[str]:
    """Yield the options of `server run` that were given."""
    texts = {"--host": args.host, "--port": args.port, "--behind": args.behind}
    texts["--root-path"] = args.root_path
    paths = [("--socket", args.socket), ("--tls-cert", args.tls_cert), ("--tls-key", args.tls_key)]
    paths += [("--uploads", args.uploads), *(("--root", root) for root in args.roots or ())]
    for name, value in texts.items():
        if value not in (None, ""):
            yield from (name, str(value))
    for name, place in paths:
        if place:
            yield from (name, os.path.abspath(os.path.expanduser(place)))  # noqa: PTH100, PTH111 - symlinks are kept
    if args.access_log:
        yield "--access-log"
