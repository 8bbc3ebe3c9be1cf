"""`maestro job list`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.job_record import end_words, job_record, state_word
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.states import JobState, JobStatus

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.jobs import Job
    from orchestra.interface.answers.jobs import JobPage

_PAGE = 50
_WAITING = "waiting"
_STATES = (*(status.value for status in JobStatus), _WAITING)


def list_arguments(parser: Parser) -> None:
    """Add the arguments of `job list`."""
    parser.add_argument("task", metavar="TASK", help="number or name of the task")
    parser.add_argument(
        "--state",
        choices=_STATES,
        metavar="STATE",
        help=f"show the jobs in this state: {', '.join(_STATES)} (the same as assigned)",
    )
    parser.add_argument(
        "--from", dest="first", type=whole, default=0, metavar="N", help="start at job N"
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help=f"show at most N jobs (default {_PAGE}; all with -q and in JSON)",
    )


def list_jobs(ctx: Context) -> None:
    """Show a page of a task's jobs; in JSON and with -q, all of them."""
    from orchestra.interface.paging import job_pages

    args = ctx.args
    wanted = _status(args.state)
    limit = _PAGE if args.limit is None and ctx.out.for_people else args.limit
    with ctx.interface() as ask:
        pages = job_pages(ask, ctx.names.task(args.task), wanted, first=args.first, limit=limit)
        last = next(pages)

        def every() -> Iterator[Job]:
            nonlocal last
            yield from last.jobs
            for last in pages:
                yield from last.jobs

        none = (
            f"no job is {args.state}" if wanted else f"there is no job from number {args.first} on"
        )
        ctx.out.items(
            every(),
            _COLUMNS,
            record=job_record,
            key=lambda job: f"{job.task_id}/{job.index}",
            empty=f"In task {last.task.id} ({last.task.name}) {none}.",
        )
    if last.following is not None and ctx.out.for_people:
        ctx.out.note(_next_page(last, args.state, limit))


def _status(state: str | None) -> JobStatus | None:
    if state is None:
        return None
    return JobStatus.ASSIGNED if state == _WAITING else JobStatus(state)


def _next_page(page: JobPage, state: str | None, limit: int | None) -> str:
    shown = min(limit or page.matching, page.matching)
    option = f" --state {state}" if state else ""
    size = f" --limit {limit}" if limit != _PAGE else ""
    return (
        f"{human.number(shown)} of {human.number(page.matching)}; the next ones: "
        f"maestro job list {page.task.id}{option}{size} --from {page.following}"
    )


def _end(job: Job) -> str:
    waits = job.state in (JobState.REGISTERED, JobState.ASSIGNED)
    if job.cause is None or (waits and not job.attempts):
        return ""
    reason = [] if job.state is JobState.DONE else [job.reason or end_words(job)]
    return "; ".join([*reason, *([job.inputs_note] if job.inputs_note else [])])


def _duration(job: Job) -> str:
    return human.duration(job.seconds) if job.seconds is not None else ""


_COLUMNS: tuple[Column[Job], ...] = (
    Column("JOB", lambda job: f"{job.task_id}/{job.index}", fit=Fit.WHOLE),
    Column("STATE", state_word, state=True),
    Column("ATTEMPTS", lambda job: job.attempts - job.handed_back, right=True),
    Column("NODE", lambda job: job.node or "", fit=Fit.START),
    Column("TIME", _duration, right=True),
    Column("END", _end, fit=Fit.FOLD),
    Column("CONFIG", lambda job: job.config, fit=Fit.START),
)
