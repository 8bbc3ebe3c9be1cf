"""`maestro job list` and `job show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.output import Record, clean, local
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.outcome_text import TOLD_BY_REASON, leaves_log
from orchestra.domain.states import JobState, JobStatus, job_status

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.jobs import Attempt, Job
    from orchestra.interface.answers.jobs import JobPage, JobReport

_PAGE = 50
_STATES = tuple(member.value for member in JobStatus)


def list_arguments(parser: Parser) -> None:
    """Add the arguments of `job list`."""
    parser.add_argument("task", metavar="TASK", help="its number or its name")
    parser.add_argument(
        "--state",
        choices=_STATES,
        metavar="STATE",
        help=f"those of one column of task list: {', '.join(_STATES)}",
    )
    parser.add_argument(
        "--from", dest="first", type=whole, default=0, metavar="N", help="begin at job N"
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help=f"at most N jobs (default {_PAGE}; with -q and in JSON all)",
    )


def list_jobs(ctx: Context) -> None:
    """Show a page of a task's jobs; for programs, all of them."""
    from orchestra.interface.paging import job_pages

    args = ctx.args
    wanted = JobStatus(args.state) if args.state else None
    limit = _PAGE if args.limit is None and ctx.out.for_people else args.limit
    with ctx.interface() as ask:
        pages = job_pages(ask, ctx.names.task(args.task), wanted, first=args.first, limit=limit)
        last = next(pages)

        def every() -> Iterator[Job]:
            nonlocal last
            yield from last.jobs
            for last in pages:
                yield from last.jobs

        none = f"no job is {wanted}" if wanted else f"there is no job from number {args.first} on"
        ctx.out.items(
            every(),
            _COLUMNS,
            record=_job_record,
            key=lambda job: f"{job.task_id}/{job.index}",
            empty=f"In task {last.task.id} ({last.task.name}) {none}.",
        )
    if last.following is not None and ctx.out.for_people:
        ctx.out.note(_more(last, wanted, limit))


def _more(page: JobPage, wanted: JobStatus | None, limit: int | None) -> str:
    shown = min(limit or page.matching, page.matching)
    state = f" --state {wanted}" if wanted else ""
    size = f" --limit {limit}" if limit != _PAGE else ""
    return (
        f"{human.number(shown)} of {human.number(page.matching)}; the next ones: "
        f"maestro job list {page.task.id}{state}{size} --from {page.following}"
    )


def status_of(job: Job) -> JobStatus:
    """Give the column of `task list` in which a job is counted."""
    return job_status(
        job.state, is_test=job.is_test, kill_requested=job.kill_requested, claimed=job.claimed
    )


def _how_it_went(job: Job) -> str:
    if job.state in (JobState.REGISTERED, JobState.ASSIGNED) and not job.attempts:
        return ""
    if job.cause is None:
        return ""
    told = [job.reason or _end_words(job)] if job.state is not JobState.DONE else []
    return "; ".join([*told, *([job.inputs_note] if job.inputs_note else [])])


def _end_words(ended: Job | Attempt) -> str:
    from orchestra.domain.outcome_text import describe_end

    if ended.cause is None:
        return ""
    return describe_end(ended.cause, ended.exit_status, ended.signal)


def _seconds(job: Job) -> str:
    return human.duration(job.seconds) if job.seconds is not None else ""


_COLUMNS: tuple[Column[Job], ...] = (
    Column("JOB", lambda job: f"{job.task_id}/{job.index}", fit=Fit.WHOLE),
    Column("STATE", lambda job: status_of(job).value, state=True),
    Column("ATTEMPTS", lambda job: job.attempts - job.handed_back, right=True),
    Column("NODE", lambda job: job.node or ""),
    Column("TIME", _seconds, right=True),
    Column("END", _how_it_went, fit=Fit.FOLD),
    Column("CONFIG", lambda job: job.config, fit=Fit.START),
)


def _job_record(job: Job) -> Record:
    return {
        "task_id": job.task_id,
        "ordinal": job.index,
        "state": status_of(job).value,
        "config": job.config,
        "is_test": job.is_test,
        "attempts": job.attempts,
        "handed_back": job.handed_back,
        "failures": job.failures,
        "losses": job.losses,
        "done_attempt": job.done_attempt,
        "node": job.node,
        "cause": job.cause.value if job.cause else None,
        "exit_status": job.exit_status,
        "signal": job.signal,
        "reason": job.reason,
        "inputs_note": job.inputs_note,
        "started_at": job.started_at,
        "seconds": job.seconds,
        "changed_at": job.changed_at,
    }


def one_job(parser: Parser) -> None:
    """Add the argument that names one job."""
    parser.add_argument("job", metavar="TASK/N", help="for example 3/17, or user.ana.mlp/17")


def show(ctx: Context) -> None:
    """Show a job with its attempts."""
    from orchestra.interface.jobs import ShowJob

    with ctx.interface() as ask:
        report = ask(ShowJob(ctx.names.job(ctx.args.job)))
    ctx.out.item(
        report,
        _lines,
        record=_record,
        key=lambda found: f"{found.task.id}/{found.job.index}",
    )


def _lines(report: JobReport) -> Iterator[str]:
    task, job = report.task, report.job
    address = f"{task.id}/{job.index}"
    attempts = human.count(len(report.attempts), "attempt")
    if job.handed_back:
        attempts += f", {job.handed_back} of them handed back without a start"
    yield f"job {address} of {task.name}   {status_of(job).upper()}   {attempts}"
    yield f"  config    {clean(report.config_path)}"
    if job.done_attempt is not None:
        yield f"  result    {clean(task.folder)}/job_configId_{job.index}   attempt {job.done_attempt}"
    for attempt in report.attempts:
        yield from _attempt_lines(attempt)
    for words in report.waits:
        yield f"  waits     {clean(words)}"
    if any(a.started_at or leaves_log(a.cause, None) for a in report.attempts):
        yield f"  log       maestro job logs {address}"
    yield f"  by hand   maestro job run --here {address}"


def _clock(moment: datetime, before: datetime) -> str:
    """The time of day; with the date where it is another day than what stands in front of it."""
    here = moment.astimezone()
    return f"{here:%H:%M:%S}" if here.date() == before.astimezone().date() else local(moment, False)


def _attempt_lines(attempt: Attempt) -> Iterator[str]:
    on = f"on {attempt.node}" + (f", devices {attempt.devices}" if attempt.devices else "")
    test = ", a test" if attempt.is_test else ""
    yield f"  attempt {attempt.number}   {on}{test}   {attempt_state(attempt)}"
    times = [f"claimed {local(attempt.claimed_at)}"]
    if attempt.started_at:
        times.append(f"started {_clock(attempt.started_at, attempt.claimed_at)}")
    if attempt.ended_at:
        times.append(f"ended {_clock(attempt.ended_at, attempt.started_at or attempt.claimed_at)}")
    yield f"    times   {', '.join(times)}"
    if used := _used(attempt):
        yield f"    used    {used}"
    yield f"    folder  {clean(attempt.folder)}"
    if attempt.config_sha256:
        yield f"    config  sha256 {attempt.config_sha256.hex()}"
    if attempt.inputs_note:
        yield f"    inputs  {clean(attempt.inputs_note)}"
    if attempt.image_digest:
        yield f"    image   {attempt.image_digest}"


def attempt_state(attempt: Attempt) -> str:
    """Say how an attempt stands, or how it ended."""
    if attempt.cause is None:
        if attempt.lost_at:
            return "lost; its end was not reported"
        return "running" if attempt.started_at else "about to start"
    words = _end_words(attempt)
    if attempt.reason:
        reason = clean(attempt.reason)
        whole = attempt.cause in TOLD_BY_REASON or reason.startswith(words)
        words = reason if whole else f"{words}: {reason}"
    return words if attempt.accepted else f"{words}; too late, another attempt had begun"


def _used(attempt: Attempt) -> str:
    lasted = () if attempt.seconds is None else (human.duration(attempt.seconds),)
    return ", ".join((*lasted, *attempt.usage.in_words()))


def _record(report: JobReport) -> Record:
    return {
        **_job_record(report.job),
        "task": report.task.name,
        "config_path": report.config_path,
        "runs": [_attempt_record(attempt) for attempt in report.attempts],
        "waiting": list(report.waits),
    }


def _attempt_record(attempt: Attempt) -> Record:
    return {
        "attempt": attempt.number,
        "node": attempt.node,
        "run": attempt.run,
        "is_test": attempt.is_test,
        "claimed_at": attempt.claimed_at,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "lost_at": attempt.lost_at,
        "folder": attempt.folder,
        "devices": attempt.devices,
        "cause": attempt.cause.value if attempt.cause else None,
        "exit_status": attempt.exit_status,
        "signal": attempt.signal,
        "reason": attempt.reason,
        "seconds": attempt.seconds,
        **attempt.usage.by_name(),
        "accepted": attempt.accepted,
        "log_bytes": attempt.log_bytes,
        "config_sha256": attempt.config_sha256.hex() if attempt.config_sha256 else None,
        "image_digest": attempt.image_digest,
        "inputs_note": attempt.inputs_note,
    }
