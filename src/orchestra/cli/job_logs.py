"""`maestro job logs`, and `task logs`: the logs of a task's failures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING

from orchestra import command_words
from orchestra.cli.argument_types import whole
from orchestra.cli.output import clean
from orchestra.cli.reconnecting import reconnecting
from orchestra.cli.task_record import task_title
from orchestra.cli.task_select import one_task, the_task
from orchestra.cli.terminal import LogPrinter
from orchestra.domain import human
from orchestra.domain.errors import BadInput, NotFound
from orchestra.domain.job_text import attempt_state, end_words
from orchestra.domain.models.logs import LogSource
from orchestra.domain.states import Cause, JobStatus

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.jobs import Attempt, Job
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.jobs import LogPart
    from orchestra.interface.operation import Interface

_LINES = 20
_MOST = 10
_NO_FAILURE = (
    *(Cause.RETURNED, Cause.INPUT, Cause.VOLUME, Cause.ENDED),
    *(Cause.LEASE, Cause.CLOSED, Cause.LOST, Cause.UNHEARD),
)
"""Ends of broken jobs that are not why their task broke."""


def logs_arguments(parser: Parser) -> None:
    """Add the arguments of `job logs`."""
    parser.add_argument(
        "job", metavar="TASK/N", help="the job: 3/17, or user.ana.mlp/17; with --failed also a task"
    )
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
        "--failed",
        action="store_true",
        help=f"print the log of the last failed attempt; of a task, those of its failed jobs, at most {_MOST} with the "
        f"last {_LINES} lines of each",
    )
    _lines_argument(parser, "print only the last N lines")


def task_logs_arguments(parser: Parser) -> None:
    """Add the arguments of `task logs`."""
    one_task(parser)
    _lines_argument(parser, f"print the last N lines of each log (default {_LINES})")


def _lines_argument(parser: Parser, text: str) -> None:
    parser.add_argument("-n", "--lines", type=whole, metavar="N", help=text)


def logs(ctx: Context) -> None:
    """Print a job's log, or those of a task's failed jobs."""
    from orchestra.interface import following
    from orchestra.interface.jobs import ShowJob

    args = ctx.args
    _check_lines(ctx)
    if args.failed and (args.follow or args.attempt is not None):
        raise BadInput("--failed chooses the attempt itself, without -f and --attempt.")
    if args.failed and "/" not in args.job:
        with ctx.interface() as ask:
            _failed_of_task(ctx, ask, ctx.names.task(args.job))
        return
    address = ctx.names.job(args.job)
    if args.follow:
        with reconnecting(ctx) as ask:
            _follow(ctx, ask, address)
        return
    with ctx.interface() as ask:
        report = ask(ShowJob(address))
        attempt = following.last_failed(report) if args.failed else None
        if args.failed and attempt is None:
            raise NotFound(
                f"job {report.task.id}/{report.job.index} has no failed attempt.",
                kind="attempt",
                task=report.task.id,
                job=report.job.index,
            )
        _print(ctx, ask, attempt or following.find_attempt(report, args.attempt), args.lines)


def task_logs(ctx: Context) -> None:
    """Print the end of the first log of each kind of failure."""
    from orchestra.interface.task_reports import ShowTask

    _check_lines(ctx)
    with ctx.interface() as ask:
        report = ask(ShowTask(the_task(ctx)))
        task, groups = report.task, report.failures[:_MOST]
        for place, group in enumerate(groups):
            facts = [f"job {task.id}/{group.example.index}"]
            facts += [f"node {group.example.node}"] if group.example.node else []
            facts += [f"config {clean(group.config)}"] if group.config else []
            reason = group.example.reason
            title = f"{human.number(group.jobs)} x {group.example.what}: {', '.join(facts)}"
            _header(ctx, place, title, reason if reason != group.example.what else None)
            _end_of_failure(ctx, ask, task, group.example.index)
    if not groups:
        ctx.out.note(
            f"{task_title(task)} has no failures. The log of one of its jobs: maestro job logs {task.id}/0"
        )
    elif any(group.jobs > 1 for group in groups) or len(groups) < len(report.failures):
        _note_others(ctx, task)


def _failed_of_task(ctx: Context, ask: Interface, word: str) -> None:
    from orchestra.interface.selection import FindTask

    task = ask(FindTask(word))
    found = list(islice(_failed_jobs(ask, task), _MOST + 1))
    for place, job in enumerate(found[:_MOST]):
        facts = [f"job {task.id}/{job.index}", *([f"node {job.node}"] if job.node else [])]
        _header(ctx, place, f"{', '.join(facts)}, config {clean(job.config)}: {end_words(job)}")
        _end_of_failure(ctx, ask, task, job.index)
    if not found:
        ctx.out.note(f"No job of {task_title(task)} has failed.")
    elif len(found) > _MOST:
        ctx.out.note(
            "",
            f"the first {_MOST}; all of them: maestro job list {task.id} --state {found[0].state}",
        )


def _failed_jobs(ask: Interface, task: Task) -> Iterator[Job]:
    """Yield the jobs that failed; those of a test that failed are broken, like the ones that never ran."""
    from orchestra.interface.paging import job_pages

    for status in (JobStatus.FAILED, JobStatus.BROKEN):
        if task.counts[status]:
            for page in job_pages(ask, str(task.id), status):
                yield from (
                    job for job in page.jobs if status is JobStatus.FAILED or _has_failed(job)
                )


def _has_failed(broken: Job) -> bool:
    return broken.cause is not None and broken.cause not in _NO_FAILURE


def _end_of_failure(ctx: Context, ask: Interface, task: Task, index: int) -> None:
    """Print the end of the log of a job's last failed attempt, or why there is none."""
    from orchestra.interface import following
    from orchestra.interface.jobs import ShowJob

    attempt = following.last_failed(ask(ShowJob(f"{task.id}/{index}")))
    try:
        if attempt:
            _print(ctx, ask, attempt, ctx.args.lines or _LINES)
    except NotFound as error:
        ctx.out.note(command_words.message_of(error))


def _header(ctx: Context, place: int, title: str, *more: str | None) -> None:
    # As tail does with several files.
    ctx.out.say(
        *[""] * (place > 0), f"==> {title} <==", *(f"    {clean(each)}" for each in more if each)
    )
    sys.stdout.flush()


def _note_others(ctx: Context, task: Task) -> None:
    ctx.out.note("", f"one of each kind; all failed jobs: maestro job logs {task.id} --failed")


def _check_lines(ctx: Context) -> None:
    if ctx.args.lines is not None and ctx.args.lines < 1:
        raise BadInput(f'-n needs at least 1 line, not "{ctx.args.lines}".')


def _print(ctx: Context, ask: Interface, attempt: Attempt, lines: int | None) -> None:
    """Print an attempt's log, or its last lines.

    Raises:
        NotFound: there is none.
    """
    from orchestra.files import job_logs
    from orchestra.interface import following

    found = following.find(ask, attempt)
    if found.file:
        with found.file as file, closing(LogPrinter()) as printer:
            if lines is not None:
                job_logs.seek_last_lines(file, lines)
            for block in job_logs.read_blocks(file):
                printer.write(block)
    else:
        _write_parts(ctx, ask, attempt, found.why, lines)


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
    ctx.out.note(f"--- attempt {last.number}: {clean(attempt_state(last))}")


def _write_parts(
    ctx: Context, ask: Interface, attempt: Attempt, why: str, lines: int | None
) -> None:
    """Print an attempt's log from where it can be read, and say if that is only what the database keeps of it."""
    from orchestra.files import job_logs
    from orchestra.interface import following

    with closing(LogPrinter()) as printer:
        for place, (part, text) in enumerate(following.parts(ask, attempt, lines)):
            if part.length is None:
                raise job_logs.no_log(attempt)
            if place == 0 and part.source is LogSource.TAIL:
                ctx.out.note(f"{clean(job_logs.path_of(attempt))} {why}; {_what_is_kept(part)}")
            printer.write(text)


def _what_is_kept(part: LogPart) -> str:
    whole = part.length or 0
    kept = f"the last {human.size(whole - part.kept_from)} of {human.size(whole)}"
    return f"this is {kept if part.kept_from else 'the log'}, from the database"
