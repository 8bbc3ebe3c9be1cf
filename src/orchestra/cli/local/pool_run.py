"""`maestro pool run`: the process that submits for pools."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import allow_root_argument
from orchestra.cli.local.connection import caller, database
from orchestra.cli.local.stopping import stopped_by_signals
from orchestra.domain import human
from orchestra.domain.errors import NotAllowed, OrchestraError

if TYPE_CHECKING:
    import psycopg

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.caller import Caller
    from orchestra.domain.models.pools import Pool
    from orchestra.wiring.pools import Serving

NAMED = "pools on {host}"


def arguments(parser: Parser) -> None:
    parser.add_argument("names", nargs="+", metavar="POOL", help="a pool")
    parser.add_argument(
        "--serve-all",
        action="store_true",
        help="its pilots run everybody's jobs, all of them under your account; otherwise only yours",
    )
    allow_root_argument(parser)


def run(ctx: Context) -> None:
    from orchestra.services.database import admin
    from orchestra.wiring.pools import Serving, run_pools

    args, settings = ctx.args, ctx.settings
    serving = Serving(args.serve_all, args.allow_root or settings.allow_root)
    with database(ctx) as conn:
        names = _checked(ctx, conn, serving)
        cluster = admin.cluster_id(conn)
    stop = stopped_by_signals()
    conductor = _conductor(ctx, stop)
    ctx.out.note(
        f"Submitting for {human.listed(names)}. Ctrl-C ends this process; allocations and their jobs go on without it."
    )
    try:
        run_pools(settings, stop, cluster, names, serving, out=sys.stderr)
    finally:
        stop.set()
        conductor.join(STOP_SECONDS)
    with suppress(OrchestraError), database(ctx) as conn:
        _say_what_goes_on(ctx, conn, names)


STOP_SECONDS = 4.0
"""Seconds in which the conductor may release its term."""


def _conductor(ctx: Context, stop: threading.Event) -> threading.Thread:
    """Conduct in a thread: while no pilot serves, nobody else does."""
    from orchestra.wiring.conductor import conduct
    from orchestra.wiring.identity import host_name

    name = NAMED.format(host=host_name())
    thread = threading.Thread(
        target=conduct,
        args=(ctx.settings, stop),
        kwargs={"name": name},
        name="conductor",
        daemon=True,
    )
    thread.start()
    return thread


def _checked(ctx: Context, conn: psycopg.Connection, serving: Serving) -> list[str]:
    """Return the names of the pools, each once.

    Raises:
        NotFound: there is no such pool.
        NotAllowed: it belongs to somebody else.
        Refused: its engine is not on this machine, or its pilots would be refused.
    """
    from orchestra.services.pools import pools
    from orchestra.wiring.pilot import check_root

    who = caller(ctx, conn)
    names = list(dict.fromkeys(ctx.args.names))
    for name in names:
        _check(ctx, who, pools.get(conn, name), serving)
    check_root(ctx.settings, conn, allowed=serving.allow_root, serve_all=serving.everybody)
    return names


def _check(ctx: Context, who: Caller, pool: Pool, serving: Serving) -> None:
    from orchestra.services.users.rights import check_may_change
    from orchestra.wiring.pools import is_within_reach
    from orchestra.wiring.submissions import check_engine

    check_may_change(who, pool.owner, f'pool "{pool.name}"')
    if pool.owner != who.name and not serving.all:
        raise NotAllowed(
            f'pool "{pool.name}" belongs to user "{pool.owner}", but you are "{who.name}".',
            hint="What it asks of the batch system would run under your account. --serve-all runs it, and all jobs.",
        )
    check_engine(pool.engine)
    if pool.engine != "local" and not is_within_reach(ctx.settings):
        ctx.out.note(
            "The database is embedded on this machine: pilots on other machines cannot reach it. "
            "maestro up --share lets them."
        )


def _say_what_goes_on(ctx: Context, conn: psycopg.Connection, names: list[str]) -> None:
    from orchestra.services.pools import pools

    for name in names:
        pool = pools.find(conn, name)
        if pool and pool.live:
            ctx.out.note(
                f"{name}: {human.count(len(pool.live), 'allocation')} of it "
                f"{'goes' if len(pool.live) == 1 else 'go'} on. maestro pool delete {name} --now would end them."
            )
