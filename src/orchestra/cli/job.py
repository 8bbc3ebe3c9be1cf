"""`maestro job`: commands for single jobs, addressed as `TASK/N`."""

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
        "jobs", nargs="+", metavar="TASK/N", help="one or more jobs: 3/17, 3/0-9, 3/1,4,7-9"
    )


def _kill_arguments(parser: Parser) -> None:
    _some_jobs(parser)
    parser.add_argument("--reason", metavar="TEXT", help="reason, shown by `job show`")


def _retry(ctx: Context) -> None:
    from orchestra.interface.job_changes import RetryJobs

    with ctx.interface() as ask:
        for done in ask(RetryJobs(_named(ctx))):
            ctx.out.say(
                f"{_address(done)}: {human.count(done.jobs, 'job')} to run again, before the others"
            )


def _kill(ctx: Context) -> None:
    from orchestra.interface.job_changes import KillJobs

    with ctx.interface() as ask:
        for done in ask(KillJobs(_named(ctx), ctx.args.reason)):
            what = f"{human.count(done.jobs, 'job')} killed or being killed"
            ctx.out.say(f"{_address(done)}: {what if done.jobs else 'all have already ended'}")


def _named(ctx: Context) -> tuple[str, ...]:
    return tuple(map(ctx.names.job, ctx.args.jobs))


def _address(done: JobsDone) -> str:
    return f"{done.task.id}/{done.address.rpartition('/')[2]} of {done.task.name}"


_RUN = """Run the command of a job on this machine, in a new folder below the current one, with the environment
that a node would set. The database is only read: the job is unchanged, and nothing is recorded. The exit
status is that of the command."""
_LIST = """Show the jobs of a task, or of all your tasks: those of the newest task first, in each by number. A job is
registered until the scheduler releases it, waiting until it starts, then testing or running, and done, failed,
killed or broken in the end; kill means that it is being ended. JSON has `assigned` for waiting. docs/glossary.md
explains all states.

--config takes a pattern as `dataset create --include` does: a glob of names, or of paths below the data set's folder
if it has a slash. There, * stays within a name, ** stands for any folders, and a folder for everything in it.
The configuration file is given before the command here: maestro --config FILE job list."""

VERBS = (
    Verb(
        "list",
        "show jobs, of a task or of all your tasks",
        later("orchestra.cli.job_list:list_jobs"),
        later("orchestra.cli.job_list:list_arguments"),
        example="maestro job list 0\nmaestro job list --state failed --since 2h\n"
        "maestro job list --node gauss --config '*lr0.1*' -o json",
        output=True,
        description=_LIST,
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
        "explain why a job waits, where it runs or how it ended",
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
        example="maestro job logs 0/17 -n 20\nmaestro job logs 0/17 -f\nmaestro job logs 0 --failed",
        aliases=("log",),
    ),
    Verb(
        "retry",
        "run jobs again, before the others of their task",
        _retry,
        _some_jobs,
        example="maestro job retry 0/17\nmaestro job retry 0/0-9 1/3",
    ),
    Verb(
        "kill",
        "kill jobs",
        _kill,
        _kill_arguments,
        example="maestro job kill 0/17",
    ),
    Verb(
        "run",
        "run the command of a job here, without recording anything",
        later("orchestra.cli.local.job_run:run"),
        later("orchestra.cli.local.job_run:arguments"),
        example="maestro job run --here 0/17",
        description=_RUN,
    ),
)
