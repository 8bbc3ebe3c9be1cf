"""`maestro pilot`: the process that runs the jobs of a node."""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import allow_root_argument
from orchestra.cli.local import pilot_install
from orchestra.cli.local.connection import caller, database
from orchestra.cli.output import Record, ago
from orchestra.cli.registry import Verb
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.errors import Cancelled, Refused

if TYPE_CHECKING:
    import psycopg

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.nodes import Pilot
    from orchestra.wiring.pilot import PilotSpec


def _node_argument(parser: Parser) -> None:
    parser.add_argument("-n", "--node", metavar="NODE", help="the node (default: this machine's)")


def _run_arguments(parser: Parser) -> None:
    _node_argument(parser)
    parser.add_argument(
        "--create-node",
        action="store_true",
        help="create the node if there is none, with as many slots as this machine has processors and GPUs",
    )
    parser.add_argument(
        *("-m", "--master"),
        action="store_true",
        help="prefer this pilot as the conductor, the scheduler for all tasks; without -m, any pilot can be",
    )
    parser.add_argument(
        "--serve-all",
        action="store_true",
        help="run everybody's jobs, all of them under your account; otherwise only yours",
    )
    allow_root_argument(parser)
    parser.add_argument(
        "--detach", action="store_true", help="go to the background once it is online"
    )
    parser.add_argument("--allocation", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--background", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--service", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--draining", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--heir", action="store_true", help=argparse.SUPPRESS)


def _run(ctx: Context) -> int:
    from orchestra.cli.local import pilots
    from orchestra.services.database import admin
    from orchestra.wiring.pilot import PilotSpec, run_pilot

    args = ctx.args
    if args.allocation:
        return _run_in_allocation(args)
    with database(ctx) as conn:
        spec = PilotSpec(
            node=pilots.node_to_serve(ctx, conn, args.node, create=args.create_node),
            prefers_to_conduct=args.master,
            serve_all=args.serve_all,
            draining=args.draining,
            started_by_keeper=args.heir,
            config=args.configuration,
            allow_root=args.allow_root,
        )
        spec = _permitted(ctx, conn, spec)
        cluster = admin.cluster_id(conn)
        if args.detach:
            return _detach(ctx, pilots.start(ctx, conn, spec), cluster)
    if args.background:
        os.chdir("/")  # it must not keep a file system from being unmounted
    return run_pilot(
        ctx.settings, cluster, spec, foreground=not args.background, supervised=args.service
    )


def _run_in_allocation(args: argparse.Namespace) -> int:
    """Run a pilot of a pool, with the configuration of the process that has submitted it."""
    from orchestra.wiring import lent

    file = Path(args.allocation).absolute()
    if args.background:
        os.chdir("/")
    return lent.run(
        file,
        draining=args.draining,
        started_by_keeper=args.heir,
        foreground=not args.background,
    )


def _permitted(ctx: Context, conn: psycopg.Connection, spec: PilotSpec) -> PilotSpec:
    """Return the pilot that may be started. A successor that may not run new jobs watches those that run.

    Raises:
        Refused: it is root's, and other users share the database.
    """
    from orchestra.wiring.pilot import check_root

    if spec.draining:
        return spec
    try:
        check_root(ctx.settings, conn, allowed=spec.allow_root, serve_all=spec.serve_all)
    except Refused:
        if not spec.started_by_keeper:
            raise
        return replace(spec, draining=True, started_by_keeper=False)
    return spec


def _detach(ctx: Context, pilot: Pilot, cluster: str) -> int:
    from orchestra.wiring.folders import pilot_folder

    folder = pilot_folder(ctx.settings, cluster, pilot.node)
    ctx.out.say(f"the pilot of node {pilot.node} is online (pid {pilot.pid})")
    ctx.out.note(
        f"Its log is {folder / 'agent.log'}. To end it: maestro pilot stop -n {pilot.node}"
    )
    return 0


def _stop_arguments(parser: Parser) -> None:
    _node_argument(parser)
    parser.add_argument("--now", action="store_true", help="end the running jobs")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def _stop(ctx: Context) -> None:
    from orchestra.cli.local import pilots
    from orchestra.services.nodes import nodes

    with database(ctx) as conn:
        name = pilots.node_or_this(ctx, conn, ctx.args.node)
        pilot = pilots.of_node(conn, name)
        me = caller(ctx, conn)
        if pilot:
            nodes.check_may_stop(me, pilot)
        if ctx.args.now and pilot and pilot.jobs:
            question = f"End the {human.count(pilot.jobs, 'job')} on node {name}?"
            if not ctx.out.ask(question, yes=ctx.args.yes):
                raise Cancelled
        asked = nodes.stop(conn, me, name, now=ctx.args.now) if pilot else False
    if not asked or pilot is None:
        ctx.out.say(f"no pilot is online on node {name}")
    elif ctx.args.now or not pilot.jobs:
        ctx.out.say(f"the pilot of node {name} is stopping")
    else:
        jobs = human.count(pilot.jobs, "job")
        ctx.out.say(f"the pilot of node {name} takes no new jobs and leaves when {jobs} have ended")


def _list(ctx: Context) -> None:
    from orchestra.services.nodes import nodes

    with database(ctx) as conn:
        found = nodes.pilots(conn)
    columns: tuple[Column[Pilot], ...] = (
        Column("NODE", lambda pilot: pilot.node),
        Column("STATE", _state, state=True),
        Column("JOBS", lambda pilot: pilot.jobs, right=True),
        Column("HOST", lambda pilot: pilot.host),
        Column("PID", lambda pilot: pilot.pid, right=True),
        Column("ACCOUNT", lambda pilot: pilot.account),
        Column("VERSION", lambda pilot: pilot.version),
        Column("SEEN", lambda pilot: ago(pilot.seen_at), fit=Fit.WHOLE),
        Column("NOTE", _note, fit=Fit.FOLD),
    )
    ctx.out.items(
        found,
        columns,
        record=_record,
        key=lambda pilot: pilot.node,
        empty="No pilots yet. maestro up starts one here, maestro pilot run -n NODE on another machine.",
    )


def _state(pilot: Pilot) -> str:
    if not pilot.online:
        return "offline"
    return "leaving" if pilot.leave else "online"


def _note(pilot: Pilot) -> str:
    notes = ["conductor"] if pilot.conducts and pilot.online else []
    notes += ["serves everybody"] if pilot.serve_all else []
    notes += [f"of pool {pilot.pool}"] if pilot.pool else []
    notes += [
        f"{human.count(keeper.jobs, 'job')} under version {keeper.version}"
        for keeper in pilot.keepers
        if keeper.jobs and keeper.version != pilot.version
    ]
    return "; ".join([*notes, *([pilot.message] if pilot.message else [])])


def _record(pilot: Pilot) -> Record:
    return {
        "node": pilot.node,
        "state": _state(pilot),
        "jobs": pilot.jobs,
        "host": pilot.host,
        "pid": pilot.pid,
        "account": pilot.account,
        "user": pilot.started_by,
        "pool": pilot.pool,
        "version": pilot.version,
        "conducts": pilot.conducts and pilot.online,
        "prefers_to_conduct": pilot.may_conduct,
        "serves_all": pilot.serve_all,
        "started_at": pilot.started_at,
        "seen_at": pilot.seen_at,
        "message": pilot.message,
        "keepers": [
            {
                "id": str(keeper.id),
                "pid": keeper.pid,
                "host": keeper.host,
                "version": keeper.version,
                "jobs": keeper.jobs,
                "fenced": keeper.fenced,
                "started_at": keeper.started_at,
            }
            for keeper in pilot.keepers
        ],
    }


VERBS = (
    Verb(
        "run",
        "serve a node: run its jobs",
        _run,
        _run_arguments,
        description="Serve a node: run its jobs and watch them. Ctrl-C does not end jobs: while jobs run, a pilot in "
        "the background watches them and takes no new ones.",
        example="maestro pilot run -n caloba21\nmaestro pilot run -n caloba21 -m --detach\n"
        "maestro pilot run --create-node",
    ),
    Verb(
        "list",
        "show the pilots",
        _list,
        example="maestro pilot list",
        output=True,
    ),
    Verb(
        "stop",
        "stop a pilot when its running jobs have ended, or end them now",
        _stop,
        _stop_arguments,
        example="maestro pilot stop -n caloba21\nmaestro pilot stop -n caloba21 --now",
    ),
    Verb(
        "install",
        "start a pilot at each boot",
        pilot_install.install,
        pilot_install.arguments,
        example=pilot_install.EXAMPLE,
        description=pilot_install.DESCRIPTION,
    ),
)
