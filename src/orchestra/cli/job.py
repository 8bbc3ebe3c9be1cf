"""`maestro job`: single jobs, addressed `TASK/N`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.registry import Verb, later
from orchestra.domain import human

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.interface.answers.jobs import JobsDone


def _some_jobs(parser: Parser) -> None:
    parser.add_argument(
        "jobs", nargs="+", metavar="TASK/N", help="3/17, 3/0-9, 3/1,4,7-9; several of them"
    )


def _kill_arguments(parser: Parser) -> None:
    _some_jobs(parser)
    parser.add_argument("--reason", metavar="WORDS", help="why; show says it")


def _retry(ctx: Context) -> None:
    from orchestra.interface.job_changes import RetryJobs

    with ctx.interface() as ask:
        for done in ask(RetryJobs(_named(ctx))):
            ctx.out.say(f"{_address(done)}: {human.count(done.jobs, 'job')} again, first in line")


def _kill(ctx: Context) -> None:
    from orchestra.interface.job_changes import KillJobs

    with ctx.interface() as ask:
        for done in ask(KillJobs(_named(ctx), ctx.args.reason)):
            what = f"{human.count(done.jobs, 'job')} ended or being ended"
            ctx.out.say(f"{_address(done)}: {what if done.jobs else 'all have ended already'}")


def _named(ctx: Context) -> tuple[str, ...]:
    return tuple(map(ctx.names.job, ctx.args.jobs))


def _address(done: JobsDone) -> str:
    return f"{done.task.id}/{done.address.rpartition('/')[2]} of {done.task.name}"


_RUN = """Run a job's command on this machine, in a fresh folder below the current one, with the
variables that a node would give it. The database is only read: the job stays as it is, and nothing is
recorded. The exit status is the command's."""

VERBS = (
    Verb(
        "list",
        "show the jobs of a task",
        later("orchestra.cli.job_list:list_jobs"),
        later("orchestra.cli.job_list:list_arguments"),
        example="maestro job list 0\nmaestro job list 0 --state failed -o json",
        output=True,
    ),
    Verb(
        "show",
        "show a job and its attempts",
        later("orchestra.cli.job_show:show"),
        later("orchestra.cli.argument_types:one_job"),
        example="maestro job show 0/17",
        output=True,
    ),
    Verb(
        "explain",
        "say why a job waits, where it runs, what happened to it",
        later("orchestra.cli.job_explain:explain"),
        later("orchestra.cli.argument_types:one_job"),
        example="maestro job explain 0/17\nmaestro job explain 0/17 -o json",
        output=True,
    ),
    Verb(
        "logs",
        "print a job's log",
        later("orchestra.cli.job_logs:logs"),
        later("orchestra.cli.job_logs:logs_arguments"),
        example="maestro job logs 0/17 -n 20\nmaestro job logs 0/17 -f",
        aliases=("log",),
    ),
    Verb(
        "retry",
        "run jobs again, first in line",
        _retry,
        _some_jobs,
        example="maestro job retry 0/17\nmaestro job retry 0/0-9 1/3",
    ),
    Verb(
        "kill",
        "end jobs",
        _kill,
        _kill_arguments,
        example="maestro job kill 0/17",
    ),
    Verb(
        "run",
        "run a job's command here, by hand; nothing is recorded",
        later("orchestra.cli.local.job_run:run"),
        later("orchestra.cli.local.job_run:arguments"),
        example="maestro job run --here 0/17",
        description=_RUN,
    ),
)
