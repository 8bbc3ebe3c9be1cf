"""`maestro conductor`: a conductor without a pilot."""

from __future__ import annotations

import signal
import sys
import threading
from typing import TYPE_CHECKING

from orchestra.cli.local.connection import database
from orchestra.cli.registry import Verb

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser

NAMED = "conductor on {host}"


def _run_arguments(parser: Parser) -> None:
    parser.add_argument(
        *("-m", "--master"),
        action="store_true",
        help="prefer this one: it takes the duty from a pilot that does not say so",
    )


def _run(ctx: Context) -> None:
    from orchestra.wiring.conductor import conduct
    from orchestra.wiring.identity import host_name

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    with database(ctx):
        pass  # so that what is wrong with it is said here and now
    name = NAMED.format(host=host_name())
    ctx.out.note(f"{name}: ready to conduct. Ctrl-C ends it; another one takes over.")
    conduct(ctx.settings, stop, name=name, preferred=ctx.args.master, out=sys.stderr)


VERBS = (
    Verb(
        "run",
        "conduct, or wait to: move tasks along, look after leases",
        _run,
        _run_arguments,
        description="Be the conductor, or wait to be. One process at a time conducts; every pilot can, so this is only "
        "needed where no pilot should, or where one that is always there is preferred (-m).",
        example="maestro conductor run -m",
    ),
)
