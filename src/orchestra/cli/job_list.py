"""`maestro job list`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.job_record import job_record
from orchestra.cli.output import Record, ago
from orchestra.cli.table import Column, Fit
from orchestra.domain import human
from orchestra.domain.errors import BadInput
from orchestra.domain.job_text import end_words, state_word
from orchestra.domain.states import JobState, JobStatus

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.jobs import Job
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.answers.jobs import FoundJob, FoundJobs
    from orchestra.interface.job_search import SearchJobs
    from orchestra.interface.operation import Interface

_PAGE = 50
_WAITING = "waiting"
_STATES = (*(status.value for status in JobStatus), _WAITING)


def list_arguments(parser: Parser) -> None:
    """Add the arguments of `job list`."""
    parser.add_argument(
        "task", nargs="?", metavar="TASK", help="number or name of a task (default: all your tasks)"
    )
    parser.add_argument(
        "--state",
        choices=_STATES,
        metavar="STATE",
        help=f"show the jobs in this state: {', '.join(_STATES)} (the same as assigned)",
    )
    parser.add_argument("--node", metavar="NAME", help="show the jobs that ran last on this node")
    parser.add_argument(
        "--reason",
        metavar="CODE",
        help="show the jobs that ended so: exit:1, exit, signal:9, timeout, out_of_memory, ...",
    )
    parser.add_argument(
        "--line",
        metavar="PATTERN",
        help="show the jobs whose log has this last line: '*out of memory*'",
    )
    parser.add_argument(
        "--config",
        metavar="PATTERN",
        help="show the jobs whose config matches: '*lr0.1*' by its name, 'model/*.yaml' by its path in the data set",
    )
    parser.add_argument(
        "--since",
        metavar="TIME",
        help="show the jobs whose state has changed since then: 2h, 7d, 2026-11-20",
    )
    parser.add_argument("-u", "--user", metavar="NAME", help="show the jobs of this user's tasks")
    parser.add_argument(
        "-a", "--all", action="store_true", help="show the jobs of the tasks of all users"
    )
    parser.add_argument(
        "--from",
        dest="first",
        metavar="N",
        help="start at job N of the task; of several tasks, at job TASK/N",
    )
    parser.add_argument(
        "--limit",
        type=whole,
        metavar="N",
        help=f"show at most N jobs (default {_PAGE}; all with -q and in JSON)",
    )


def list_jobs(ctx: Context) -> None:
    """Show a page of jobs; in JSON and with -q, all of them."""
    from orchestra.interface.selection import FindTask

    args = ctx.args
    limit = _PAGE if args.limit is None and ctx.out.for_people else args.limit
    if limit == 0:
        raise BadInput("--limit needs at least one job.")
    with ctx.interface() as ask:
        task = ask(FindTask(ctx.names.task(args.task))) if args.task else None
        search = _search(ctx, ask, task)
        page = _Page(ask, search, limit)
        columns = _COLUMNS if task else (_JOB, _TASK, *_COLUMNS[1:])
        if args.since:
            columns = (*columns[:-2], _CHANGED, *columns[-2:])
        ctx.out.items(
            page.jobs(),
            columns,
            record=_record,
            key=lambda found: f"{found.job.task_id}/{found.job.index}",
            empty=_none(ctx, task, search.owner),
        )
    if page.following and ctx.out.for_people:
        ctx.out.note(_next_page(ctx, page))


def _search(ctx: Context, ask: Interface, task: Task | None) -> SearchJobs:
    from datetime import datetime

    from orchestra.domain.quantities import parse_since
    from orchestra.interface.job_search import SearchJobs
    from orchestra.interface.me import Me

    args = ctx.args
    if args.task and (args.user or args.all):
        raise BadInput("a task was named, so -u and -a have no meaning.")
    owner = None if args.task or args.all else args.user or ask(Me()).name
    return SearchJobs(
        word=str(task.id) if task else None,
        owner=owner,
        status=_status(args.state),
        node=args.node,
        config=args.config,
        since=parse_since(args.since, datetime.now().astimezone()) if args.since else None,
        start=_start(args.first, task) if args.first else None,
        reason=args.reason,
        line=args.line,
    )


def _start(text: str, named: Task | None) -> tuple[int, int]:
    """Parse the number of a job of the task that was named, or TASK/N."""
    task, slash, index = text.rpartition("/")
    if not index.isdecimal() or (slash and not task.isdecimal()):
        raise BadInput(
            f'--from takes the number of a job, or TASK/N, not "{human.one_line(text)}".'
        )
    if not slash and named is None:
        raise BadInput(f"--from needs a task as well: --from TASK/{index}")
    return int(task) if slash else named.id, int(index)  # type: ignore[union-attr]


class _Page:
    """The jobs to show; `following` is the first one after them, if there is one."""

    def __init__(self, ask: Interface, search: SearchJobs, limit: int | None) -> None:
        from orchestra.interface.job_search import found_jobs

        self.limit = limit
        self.matching: int | None = None
        self.following: FoundJob | None = None
        # One more, so that it is known whether more follow.
        self._answers = found_jobs(ask, search, limit=None if limit is None else limit + 1)

    def jobs(self) -> Iterator[FoundJob]:
        found = (each for answer in self._answers for each in self._seen(answer).jobs)
        yield from islice(found, self.limit)
        self.following = next(found, None)

    def _seen(self, answer: FoundJobs) -> FoundJobs:
        self.matching = answer.matching
        return answer


def _status(state: str | None) -> JobStatus | None:
    if state is None:
        return None
    return JobStatus.ASSIGNED if state == _WAITING else JobStatus(state)


def _none(ctx: Context, task: Task | None, owner: str | None) -> str:
    """Return the sentence for a list without jobs."""
    args = ctx.args
    where = f"In the tasks of {owner}" if owner else "In all tasks"
    if task:
        where = f"In task {task.id} ({task.name})"
    if args.node or args.config or args.since or args.reason or args.line:
        return f"{where} no job matches."
    if args.state:
        return f"{where} no job is {args.state}."
    return f"{where} there is no job" + (f" from number {args.first} on." if args.first else ".")


def _next_page(ctx: Context, page: _Page) -> str:
    args, following = ctx.args, page.following
    assert following is not None
    options = [args.task] if args.task else []
    for option in ("state", "node", "reason", "line", "config", "since", "user"):
        if value := getattr(args, option):
            options += [f"--{option}", value]
    options += ["-a"] if args.all else []
    options += ["--limit", str(page.limit)] if page.limit != _PAGE else []
    address = following.job.index if args.task else f"{following.job.task_id}/{following.job.index}"
    shown = human.number(page.limit or 0)
    of = f" of {human.number(page.matching)}" if page.matching is not None else ""
    return f"{shown}{of}; the next ones: maestro job list {shlex.join(options)} --from {address}"


def _record(found: FoundJob) -> Record:
    return {**job_record(found.job), "task": found.task}


def _end(job: Job) -> str:
    waits = job.state in (JobState.REGISTERED, JobState.ASSIGNED)
    if job.cause is None or (waits and not job.attempts):
        return ""
    reason = [] if job.state is JobState.DONE else [job.reason or end_words(job)]
    return "; ".join([*reason, *([job.inputs_note] if job.inputs_note else [])])


def _duration(job: Job) -> str:
    return human.duration(job.seconds) if job.seconds is not None else ""


_JOB: Column[FoundJob] = Column(
    "JOB", lambda found: f"{found.job.task_id}/{found.job.index}", fit=Fit.WHOLE
)
_TASK: Column[FoundJob] = Column("TASK", lambda found: found.task, fit=Fit.START)
_CHANGED: Column[FoundJob] = Column("CHANGED", lambda found: ago(found.job.changed_at))
_COLUMNS: tuple[Column[FoundJob], ...] = (
    _JOB,
    Column("STATE", lambda found: state_word(found.job), state=True),
    Column("ATTEMPTS", lambda found: found.job.attempts - found.job.handed_back, right=True),
    Column("NODE", lambda found: found.job.node or "", fit=Fit.START),
    Column("TIME", lambda found: _duration(found.job), right=True),
    Column("END", lambda found: _end(found.job), fit=Fit.FOLD),
    Column("CONFIG", lambda found: found.job.config, fit=Fit.START),
)
