"""`maestro job retry` and `job kill`: jobs that are named, or all of a task that match a filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestra.cli.consequences import dry_run, may_go_on
from orchestra.domain import human
from orchestra.domain.consequences import TaskAction
from orchestra.domain.errors import BadInput
from orchestra.domain.states import JobStatus

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.interface.answers.jobs import JobsDone
    from orchestra.interface.operation import Interface

_FILTERS = ("state", "ended_by", "line", "node")


def retry_arguments(parser: Parser) -> None:
    """Add the arguments of `job retry`."""
    _arguments(parser, "failed, killed, broken or done (default: all but done)")
    parser.add_argument(
        "--reason",
        dest="ended_by",
        metavar="CODE",
        help="retry the jobs that ended so: exit:1, exit, signal:9, timeout, out_of_memory, ...",
    )
    parser.add_argument(
        "--line",
        metavar="PATTERN",
        help="retry the jobs whose log has this last line: '*out of memory*'",
    )


def kill_arguments(parser: Parser) -> None:
    """Add the arguments of `job kill`."""
    _arguments(parser, "running, testing, waiting or registered (default: all of these)")
    parser.add_argument("--reason", metavar="TEXT", help="reason, shown by `job show`")


def _arguments(parser: Parser, states: str) -> None:
    parser.add_argument(
        "jobs",
        nargs="+",
        metavar="TASK/N",
        help="one or more jobs: 3/17, 3/0-9, 3/1,4,7-9; or with an option below, tasks: 3",
    )
    parser.add_argument("--state", metavar="STATE", help=f"the jobs in this state: {states}")
    parser.add_argument("--node", metavar="NAME", help="the jobs that ran last on this node")
    dry_run(parser)
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def retry(ctx: Context) -> None:
    """Run jobs again."""
    from orchestra.interface.job_changes import RetryJobs
    from orchestra.interface.job_matches import RetryMatching, every_match

    with ctx.interface() as ask:
        if (chosen := _filter(ctx)) is None:
            for done in ask(RetryJobs(_named(ctx))):
                jobs = human.count(done.jobs, "job")
                ctx.out.say(f"{_address(done)}: {jobs} to run again, before the others")
            return
        for task in _tasks(ctx, ask):
            if may_go_on(ctx, ask, task, TaskAction.RETRY_JOBS, "Run them again?", **chosen):
                found = every_match(ask, RetryMatching(task, **chosen))
                jobs = human.count(found.jobs, "job")
                title = f"task {task} ({found.task.name})"
                ctx.out.say(f"{title}: {jobs} to run again, before the others")


def kill(ctx: Context) -> None:
    """Kill jobs."""
    from orchestra.interface.job_changes import KillJobs
    from orchestra.interface.job_matches import KillMatching, every_match

    with ctx.interface() as ask:
        if (chosen := _filter(ctx)) is None:
            for done in ask(KillJobs(_named(ctx), ctx.args.reason)):
                what = f"{human.count(done.jobs, 'job')} killed or being killed"
                ctx.out.say(f"{_address(done)}: {what if done.jobs else 'all have already ended'}")
            return
        for task in _tasks(ctx, ask):
            if may_go_on(ctx, ask, task, TaskAction.KILL_JOBS, "Kill them?", **chosen):
                found = every_match(ask, KillMatching(task, **chosen, why=ctx.args.reason))
                jobs = human.count(found.jobs, "job")
                ctx.out.say(f"task {task} ({found.task.name}): {jobs} killed or being killed")


def _filter(ctx: Context) -> dict[str, Any] | None:
    """Return the filter that was given, None without one.

    Raises:
        BadInput: a state is unknown, or jobs are named beside a filter.
    """
    args = ctx.args
    given = {name: getattr(args, name, None) for name in _FILTERS}
    if not any(given.values()):
        if args.dry_run:
            raise BadInput("--dry-run goes with a task and a filter, such as --state failed.")
        return None
    if named := next((text for text in args.jobs if "/" in text), None):
        raise BadInput(
            f'"{human.one_line(named)}" names a job, so there is nothing to look for.',
            hint="With --state, --node and the like, give the task: its number or its name.",
        )
    state, reason = given.pop("state"), given.pop("ended_by")
    return {"status": _status(state) if state else None, "reason": reason, **given}


def _status(text: str) -> JobStatus:
    known = {"waiting": JobStatus.ASSIGNED, **{status.value: status for status in JobStatus}}
    if text not in known:
        raise BadInput(
            f'"{human.one_line(text)}" is not a state of jobs.',
            hint=f"States are {human.listed([*known])}.",
        )
    return known[text]


def _tasks(ctx: Context, ask: Interface) -> list[int]:
    from orchestra.interface.selection import FindTask

    return [ask(FindTask(ctx.names.task(word))).id for word in ctx.args.jobs]


def _named(ctx: Context) -> tuple[str, ...]:
    return tuple(map(ctx.names.job, ctx.args.jobs))


def _address(done: JobsDone) -> str:
    return f"{done.task.id}/{done.address.rpartition('/')[2]} of {done.task.name}"
