"""`maestro job`: commands for single jobs, addressed as `TASK/N`."""

from __future__ import annotations

from orchestra.cli.registry import Verb, later

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
        later("orchestra.cli.job_change:retry"),
        later("orchestra.cli.job_change:retry_arguments"),
        example="maestro job retry 0/17\nmaestro job retry 0/0-9 1/3\n"
        "maestro job retry 0 --reason exit:1 --node gauss --dry-run",
    ),
    Verb(
        "kill",
        "kill jobs",
        later("orchestra.cli.job_change:kill"),
        later("orchestra.cli.job_change:kill_arguments"),
        example="maestro job kill 0/17\nmaestro job kill 0 --node gauss",
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
