"""`maestro up --share` and `--no-share`: whether other machines can use this machine's embedded database."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.nodes import Pilot
    from orchestra.domain.sharing import Access
    from orchestra.store.postgres.sharing import Share


def arguments(parser: Parser) -> None:
    """Add the options that share the database."""
    group = parser.add_argument_group("other machines")
    either = group.add_mutually_exclusive_group()
    either.add_argument(
        "--share",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="let other machines use this machine's embedded database: those of a network (10.1.0.0/16), single ones "
        "(by name or address), separated by commas (default: this machine's network)",
    )
    either.add_argument(
        "--no-share", action="store_true", help="let no other machine use it any longer"
    )
    group.add_argument(
        "--port",
        type=_port,
        metavar="N",
        help="with --share: the port of the database (default 5433, or the next free one)",
    )
    group.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _port(text: str) -> int:
    port = whole(text)
    if not 1024 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not a port from 1024 to 65535")
    return port


def apply(ctx: Context, news: list[str]) -> None:
    """Share the database, or stop sharing it, as the options say. `news` gets a line for what is created."""
    args = ctx.args
    if args.port is not None and args.share is None:
        raise BadInput("--port is the port of a shared database.", hint="Add --share.")
    if args.no_share:
        _stop(ctx)
    elif args.share is not None:
        _share(ctx, news)


def _share(ctx: Context, news: list[str]) -> None:
    from orchestra.wiring import sharing
    from orchestra.wiring.pilot import refuse_root

    sharing.refuse_server(ctx.settings)
    refuse_root(ctx.settings, allowed=ctx.args.allow_root)
    before = sharing.shared(ctx.settings)
    access = _access(ctx.args.share, before)
    if _is_as_wanted(access, ctx.args.port, before):
        return
    made = sharing.share(ctx.settings, access, ctx.args.port, say=news.append)
    if before is None or before.url_file != made.url_file:
        ctx.out.note(
            f"Other machines need the file {made.url_file}, which contains a password. There:",
            f"  MAESTRO_POSTGRES_FILE={made.url_file} maestro up",
            'or "postgres_file" in their configuration.',
        )


def _access(wanted: str, before: Share | None) -> Access:
    from orchestra.cli.local.network import ThisMachine
    from orchestra.domain import sharing

    if not wanted and before:
        return sharing.Access(before.host, before.listen, before.networks)
    return sharing.access(wanted, ThisMachine())


def _is_as_wanted(access: Access, port: int | None, before: Share | None) -> bool:
    from pathlib import Path

    if before is None or port not in (None, before.port) or not Path(before.url_file).exists():
        return False
    return (access.host, access.listen, access.networks) == (
        before.host,
        before.listen,
        before.networks,
    )


def _stop(ctx: Context) -> None:
    from orchestra.wiring import sharing

    sharing.refuse_server(ctx.settings)
    if sharing.shared(ctx.settings) is None:
        ctx.out.note("The database is not shared.")
        return
    if others := _pilots_elsewhere(ctx):
        jobs = sum(pilot.jobs for pilot in others)
        names = human.listed([pilot.node for pilot in others], most=5)
        question = (
            f"The pilots of {names} use this database and run {human.count(jobs, 'job')}. "
            "Cut them off?"
        )
        if not ctx.out.ask(question, yes=ctx.args.yes):
            raise Cancelled
    sharing.stop_sharing(ctx.settings, say=ctx.out.note)
    ctx.out.note("No other machine can use the database any longer.")


def _pilots_elsewhere(ctx: Context) -> list[Pilot]:
    from orchestra.cli.local import pilots
    from orchestra.cli.local.connection import database
    from orchestra.services.nodes import nodes

    with database(ctx) as conn:
        online = [pilot for pilot in nodes.pilots(conn) if pilot.online]
    return [pilot for pilot in online if not (pilots.is_here(pilot) and pilots.is_mine(pilot))]


def in_words(share: Share) -> str:
    """With whom the database is shared: "with 10.1.0.0/16, at gauss:5433"."""
    return f"with {human.listed(share.networks)}, at {share.host}:{share.port}"
