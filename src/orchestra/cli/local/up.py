"""`maestro up` and `maestro down`: start and stop everything that one machine needs."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import allow_root_argument, whole
from orchestra.cli.local import sharing
from orchestra.cli.local.connection import caller, database
from orchestra.cli.registry import Verb
from orchestra.domain import human
from orchestra.domain.errors import BadInput, Cancelled, OrchestraError, Refused
from orchestra.homefolder import home_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import psycopg

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.caller import Caller
    from orchestra.domain.models.nodes import Device, Node, Pilot
    from orchestra.store.postgres.embedded import Status

_SERVER_STOPPED = "the server of the pages has stopped"

DISCONNECT_WITHIN = 8.0
"""Seconds in which a pilot that has left sends its last mail and closes its connections."""


def _up_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--cpus",
        type=whole,
        metavar="N",
        help="CPU slots (default: all processors that you can use)",
    )
    parser.add_argument(
        "--gpus",
        type=whole,
        metavar="N",
        help="GPU slots (default: all GPUs, or what CUDA_VISIBLE_DEVICES names)",
    )
    allow_root_argument(parser)
    sharing.arguments(parser)
    parser.add_argument(
        "--no-pages", dest="pages", action="store_false", help="start no server for the pages"
    )
    parser.add_argument(
        "--detach", action="store_true", help="return at once instead of showing what runs"
    )


def _up(ctx: Context) -> None:
    from orchestra.cli import live

    _check_slots(ctx.args.cpus, ctx.args.gpus)
    news: list[str] = []
    sharing.apply(ctx, news)
    begin(
        ctx,
        cpus=ctx.args.cpus,
        gpus=ctx.args.gpus,
        allow_root=ctx.args.allow_root,
        pages=ctx.args.pages,
        news=news,
    )
    if sys.stdout.isatty() and not ctx.args.detach:
        ctx.out.say()
        live.watch(ctx)
        ctx.out.note(
            "The pilot keeps running. To see the tasks: maestro task list. To stop it: maestro down"
        )


def begin(
    ctx: Context,
    *,
    cpus: int | None = None,
    gpus: int | None = None,
    allow_root: bool = False,
    pages: bool = True,
    news: Sequence[str] = (),
) -> Node:
    """Start the database, create the user and this machine's node, start its pilot, and print each.

    `news` are lines about what was created before.
    """
    from orchestra.cli.local import pilots
    from orchestra.store.postgres.sharing import is_in_effect
    from orchestra.wiring.pilot import PilotSpec, check_root
    from orchestra.wiring.sharing import shared

    _check_slots(cpus, gpus)
    created = [*news]
    with _open_database(ctx, created) as conn:
        check_root(ctx.settings, conn, allowed=allow_root)
        _say(ctx, "database", _database_in_words(ctx, created))
        if share := shared(ctx.settings):
            url_file = _short(share.url_file)
            words = f"{sharing.in_words(share)}; its address is in {url_file}"
            if not is_in_effect(conn, share):
                words = f"not now: at its start, it could not listen at {share.host}:{share.port}"
            _say(ctx, "shared", words)
        me = caller(ctx, conn)
        node, devices = _this_node(ctx, conn, me, cpus, gpus)
        _say(ctx, "node", _node_in_words(node, devices))
        pilot = pilots.of_node(conn, node.name)
        if pilot and not pilots.is_here(pilot):
            raise Refused(
                f'node "{node.name}" is already served by a pilot on {pilot.host}.',
                hint='Set "node" in the configuration to give this machine another name.',
            )
        if pilot and not pilots.takes_mine(pilot):
            raise Refused(
                f'node "{node.name}" is served by a pilot of {pilot.account} on this machine, which runs that '
                "account's tasks only.",
                hint='Two pilots on one machine need two nodes. Set "node" in the configuration to name yours.',
            )
        if pilot is None or pilot.leave:
            spec = PilotSpec(
                node.name,
                prefers_to_conduct=True,
                config=ctx.args.configuration,
                allow_root=allow_root,
            )
            pilot = pilots.start(ctx, conn, spec)
        if pages:
            _say(ctx, "pages", _pages_in_words(ctx, conn))
        _say(ctx, "pilot", _pilot_in_words(ctx, pilot))
    return node


def _pages_in_words(ctx: Context, conn: psycopg.Connection) -> str:
    """Return where the pages are, from a server that is started if none runs here. Jobs do not need one."""
    from orchestra.services.database import admin
    from orchestra.wiring.server_processes import running_servers, start_server

    cluster = admin.cluster_id(conn)
    running = running_servers(ctx.settings, cluster)
    try:
        found = (
            running[0] if running else start_server(ctx.settings, cluster, ctx.args.configuration)
        )
    except OrchestraError as error:
        return f"not served: {error.message} {error.hint or ''}".rstrip()
    return f"{found.url}   (to sign in: maestro web)"


def _check_slots(cpus: int | None, gpus: int | None) -> None:
    for number, option in ((cpus, "--cpus"), (gpus, "--gpus")):
        if number is not None and number < 0:
            raise BadInput(f"{option} cannot be {number}.")


def _open_database(ctx: Context, news: list[str]) -> psycopg.Connection:
    from orchestra.wiring.database import open_database

    return open_database(ctx.settings, say=news.append)


def _say(ctx: Context, label: str, words: str) -> None:
    ctx.out.say(f"  {label:<9}  {words}")
    sys.stdout.flush()


def _database_in_words(ctx: Context, news: list[str]) -> str:
    if ctx.settings.postgres is not None:
        from orchestra.store.driver.database import check_address

        parts = check_address(ctx.settings.postgres)
        return f"PostgreSQL at {parts.get('host', 'localhost')}:{parts.get('port', '5432')}"
    if news:
        return "; ".join(_short(line) for line in news)
    status = _embedded(ctx)
    return f"embedded PostgreSQL {status.major}, in {_short(str(status.data_dir))}"


def _embedded(ctx: Context) -> Status:
    from orchestra.store.postgres import embedded

    return embedded.status(ctx.settings.data_dir)


def _short(text: str) -> str:
    """Write the home folder as ~."""
    home = home_folder()
    return text.replace(f"{home}/", "~/") if home else text


def _this_node(
    ctx: Context, conn: psycopg.Connection, me: Caller, cpus: int | None, gpus: int | None
) -> tuple[Node, Sequence[Device]]:
    """Return this machine's node, created if necessary; the slots of an existing one change only on request."""
    from orchestra.cli.local import machine, pilots
    from orchestra.domain.models.nodes import SlotsWanted
    from orchestra.services.nodes import nodes

    name = pilots.this_node(ctx, conn)
    devices = machine.gpus(ctx.out.note)
    old = nodes.find(conn, name)
    if old is None:
        return pilots.create_node(conn, me, name, devices, cpus=cpus, gpus=gpus), devices
    if cpus is not None or gpus is not None:
        cpu = SlotsWanted("CPU", cpus, _new_maximum(cpus, old.cpu.maximum))
        gpu = SlotsWanted("GPU", gpus, _new_maximum(gpus, old.gpu.maximum))
        if (cpu.over(old.cpu), gpu.over(old.gpu)) != (old.cpu, old.gpu):
            return nodes.change(conn, me, name, cpu, gpu), devices
    return old, devices


def _new_maximum(wanted: int | None, maximum: int) -> int:
    return max(wanted or 0, maximum)


def _node_in_words(node: Node, devices: Sequence[Device]) -> str:
    from orchestra.cli.local import pilots
    from orchestra.domain.node_text import hours_now

    drained = "; drained, so it takes no jobs" if node.drained_at else ""
    if hours := hours_now(node, datetime.now(UTC)):
        drained += f"; {hours}"
    return f'this machine, "{node.name}": {pilots.slots_in_words(node, devices)}{drained}'


def _pilot_in_words(ctx: Context, pilot: Pilot) -> str:
    from orchestra.cli.local import pilots

    work = f"running {human.count(pilot.jobs, 'job')}" if pilot.jobs else "waiting for work"
    if not pilots.is_mine(pilot):
        return f"{pilot.account}'s, which runs everybody's jobs: {work}."
    stays = sys.stdout.isatty() and not getattr(ctx.args, "detach", False)
    if stays:
        return f"{work}. Ctrl-C leaves this view; it does not stop the pilot (maestro down)."
    return f"{work}. To stop it: maestro down"


def _down_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--kill", action="store_true", help="end the running jobs instead of waiting"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _down(ctx: Context) -> None:
    from orchestra.store.postgres import embedded
    from orchestra.wiring.database import check_database, uses_server
    from orchestra.wiring.server_processes import end_servers_of_stopped_database

    check_database(ctx.settings)
    own = not uses_server(ctx.settings)
    if own and embedded.url_if_running(ctx.settings.data_dir) is None:
        if end_servers_of_stopped_database(ctx.settings):
            ctx.out.say(_SERVER_STOPPED)
        else:
            ctx.out.say("nothing runs here: the embedded database is stopped")
        return
    end(ctx, kill=ctx.args.kill, yes=ctx.args.yes)


def end(ctx: Context, *, kill: bool = False, yes: bool = False) -> None:
    """Stop the pilots, and the embedded database if nobody else uses it."""
    from orchestra.services.database import admin
    from orchestra.store.cluster import health
    from orchestra.wiring.database import uses_server
    from orchestra.wiring.server_processes import end_servers

    with database(ctx) as conn:
        ended = _end_pilots(ctx, conn, kill=kill, yes=yes)
        if end_servers(ctx.settings, admin.cluster_id(conn)):
            ctx.out.say(_SERVER_STOPPED)
        deadline = monotonic() + (DISCONNECT_WITHIN if ended else 0.0)
        while (others := health.other_connections(conn)) and monotonic() < deadline:
            sleep(0.05)
    if uses_server(ctx.settings):
        return
    if others:
        ctx.out.say(
            f"the embedded database keeps running: it has {human.count(others, 'other connection')}"
        )
    else:
        _stop_database(ctx)


def _stop_database(ctx: Context) -> None:
    from orchestra.store.postgres import embedded
    from orchestra.wiring.sharing import shared

    if not embedded.stop(ctx.settings.data_dir):
        return
    ctx.out.say("the embedded database is stopped; it starts automatically when it is needed")
    if share := shared(ctx.settings):
        ctx.out.note(
            f"It is shared {sharing.in_words(share)}: other machines cannot use it before it is started again here "
            "(maestro up, maestro db start)."
        )


def _end_pilots(ctx: Context, conn: psycopg.Connection, *, kill: bool, yes: bool) -> bool:
    """Stop the pilots of this machine; returns whether there were any."""
    from orchestra.services.nodes import nodes

    me = caller(ctx, conn)
    mine = _pilots_here(ctx, conn, me)
    jobs = sum(pilot.jobs for pilot in mine)
    if kill and jobs and not ctx.out.ask(f"End {human.count(jobs, 'running job')}?", yes=yes):
        raise Cancelled
    for pilot in mine:
        nodes.stop(conn, me, pilot.node, now=kill)
    names = [pilot.node for pilot in mine]
    if not names:
        ctx.out.say("no pilot was running here")
        return False
    try:
        _wait(ctx, conn, names, jobs)
    except KeyboardInterrupt:
        ctx.out.note(
            "",
            f"No longer waiting: the pilot of {human.listed(names)} leaves when its jobs have ended.",
        )
        raise Cancelled(
            "stopped waiting; no job was ended.", hint="maestro down continues."
        ) from None
    ctx.out.say(f"the pilot of {human.listed(names)} has stopped")
    return True


def _wait(ctx: Context, conn: psycopg.Connection, names: list[str], jobs: int) -> None:
    from orchestra.cli.local import pilots

    if jobs:
        ctx.out.note(
            f"Waiting for {human.count(jobs, 'running job')} to end; Ctrl-C only stops waiting."
        )
    with ctx.out.progress("waiting for the pilot") as progress:
        pilots.wait_until_gone(
            conn, names, lambda left: progress.set(0, f"{human.count(left, 'job')} still running")
        )


def _pilots_here(ctx: Context, conn: psycopg.Connection, me: Caller) -> list[Pilot]:
    """Return this account's pilots here that the user may stop, and name the others.

    One that was killed is replaced by one that watches its jobs until they end.

    Raises:
        Refused: the user may stop none of them.
    """
    from orchestra.cli.local import pilots
    from orchestra.services.nodes import nodes
    from orchestra.wiring.pilot import PilotSpec

    def found() -> list[Pilot]:
        return [p for p in nodes.pilots(conn) if pilots.is_here(p) and pilots.is_mine(p)]

    for pilot in found():
        if pilot.jobs and not pilots.serves(pilot) and nodes.may_stop(me, pilot):
            spec = PilotSpec(pilot.node, draining=True, config=ctx.args.configuration)
            pilots.start(ctx, conn, spec)
    serving = [pilot for pilot in found() if pilots.serves(pilot)]
    mine = [pilot for pilot in serving if nodes.may_stop(me, pilot)]
    if not mine and serving:
        nodes.check_may_stop(me, serving[0])
    for pilot in serving:
        if pilot not in mine:
            ctx.out.note(f"the pilot of node {pilot.node} keeps running: it is not yours")
    return mine


VERBS = (
    Verb(
        "up",
        "start everything on this machine",
        _up,
        _up_arguments,
        description="Start the database, make this machine a node, and start a pilot that runs jobs on it. "
        "Repeat it as often as you like: it changes nothing that is already there. `maestro pilot install` starts the "
        "pilot after every reboot. With --share, other machines can use the database as well: its address is in a file "
        "that only you can read.",
        example="maestro up\nmaestro up --cpus 4 --gpus 0 --detach\nmaestro up --share 10.1.0.0/16 --detach",
    ),
    Verb(
        "down",
        "stop what `up` started, after the running jobs have ended",
        _down,
        _down_arguments,
        description="Stop this machine's pilot when its running jobs have ended, then the embedded database if nobody "
        "else uses it.",
        example="maestro down\nmaestro down --kill",
    ),
)
