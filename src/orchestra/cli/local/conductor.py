"""`maestro conductor`: a conductor without a pilot."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from orchestra.cli.local.connection import database
from orchestra.cli.local.stopping import stopped_by_signals
from orchestra.cli.registry import Verb

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser

NAMED = "conductor on {host}"
STOP_SECONDS = 4.0
"""Seconds in which the pools may be left to another process."""


def _run_arguments(parser: Parser) -> None:
    parser.add_argument(
        *("-m", "--master"),
        action="store_true",
        help="prefer this conductor over pilots without -m",
    )


def _run(ctx: Context) -> None:
    from orchestra.wiring.conductor import conduct
    from orchestra.wiring.identity import host_name
    from orchestra.wiring.pools import run_own_pools

    stop = stopped_by_signals()
    with database(ctx):
        pass  # to report an error of the database now
    name = NAMED.format(host=host_name())
    ctx.out.note(f"{name}: standing by as conductor. Ctrl-C ends it; another one takes over.")
    own_pools = run_own_pools(ctx.settings, stop)
    try:
        conduct(ctx.settings, stop, name=name, preferred=ctx.args.master, out=sys.stderr)
    finally:
        stop.set()
        own_pools.join(STOP_SECONDS)


VERBS = (
    Verb(
        "run",
        "run a conductor, the scheduler that moves tasks forward",
        _run,
        _run_arguments,
        description="Run a conductor, the scheduler that moves tasks forward and watches leases. One process at a time "
        "is the conductor, the others stand by. Any pilot can be the conductor, so this is needed only if no pilot "
        "should, or if one that always runs is preferred (-m). Where sbatch is, it also runs this account's pools.",
        example="maestro conductor run -m",
    ),
)
