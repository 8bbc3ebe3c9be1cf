"""`maestro job logs`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import one_job, whole
from orchestra.cli.job_record import attempt_state
from orchestra.cli.output import clean
from orchestra.cli.reconnecting import reconnecting
from orchestra.cli.terminal import LogPrinter
from orchestra.domain import human
from orchestra.domain.errors import BadInput

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.jobs import Attempt
    from orchestra.interface.answers.jobs import LogChunk
    from orchestra.interface.operation import Interface


def logs_arguments(parser: Parser) -> None:
    """Add the arguments of `job logs`."""
    one_job(parser)
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="wait for the job, and follow its log until it ends",
    )
    parser.add_argument(
        "--attempt", type=whole, metavar="K", help="number of the attempt (default: the latest)"
    )
    parser.add_argument(
        "-n", "--lines", type=whole, metavar="N", help="print only the last N lines"
    )


def logs(ctx: Context) -> None:
    """Print a job's log."""
    from orchestra.files import job_logs
    from orchestra.interface import following
    from orchestra.interface.jobs import ShowJob

    args = ctx.args
    if args.lines is not None and args.lines < 1:
        raise BadInput(f'-n needs at least 1 line, not "{args.lines}".')
    address = ctx.names.job(args.job)
    if args.follow:
        with reconnecting(ctx) as ask:
            _follow(ctx, ask, address)
        return
    with ctx.interface() as ask:
        attempt = following.find_attempt(ask(ShowJob(address)), args.attempt)
        found = following.find(ask, attempt)
    if found.file:
        with found.file as file, closing(LogPrinter()) as printer:
            if args.lines is not None:
                job_logs.seek_last_lines(file, args.lines)
            for block in job_logs.read_blocks(file):
                printer.write(block)
    elif found.end:
        _write_kept(ctx, attempt, found.end, found.why)


def _follow(ctx: Context, ask: Interface, address: str) -> None:
    from orchestra.interface import following

    def waits(why: str) -> None:
        ctx.out.note(clean(why))

    attempt = following.await_attempt(ask, address, ctx.args.attempt, waits=waits)

    def turn(begun: Attempt) -> None:
        if begun.number != attempt.number:
            ctx.out.note(f"--- attempt {begun.number}, on {begun.node}")

    with closing(LogPrinter()) as printer:
        last = following.follow(
            ask,
            address,
            attempt,
            write=printer.write,
            turn=turn,
            waits=waits,
            lines=ctx.args.lines,
        )
    ctx.out.note(f"--- attempt {last.number}: {attempt_state(last)}")


def _write_kept(ctx: Context, attempt: Attempt, end: LogChunk, why: str) -> None:
    from orchestra.files import job_logs

    path = clean(job_logs.path_of(attempt))
    if end.length is None:
        raise job_logs.no_log(attempt)
    part = ""
    if end.offset:
        part = f"the last {human.size(len(end.data))} of {human.size(end.length)}"
    ctx.out.note(f"{path} {why}; this is {part or 'the log'}, from the database")
    lines = ctx.args.lines
    with closing(LogPrinter()) as printer:
        printer.write(end.data if lines is None else job_logs.last_lines(end.data, lines))
