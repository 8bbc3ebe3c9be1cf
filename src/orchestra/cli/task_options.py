"""The options of `maestro task create`, `task repro` and `task clone`, most of them also of `run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestra.cli import task_resources
from orchestra.cli.argument_types import Amount, at_least, whole
from orchestra.cli.output import clean
from orchestra.domain.errors import BadInput
from orchestra.domain.quantities import parse_limit
from orchestra.domain.variables import parse_variable

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.tasks import Policy

_EXAMPLE_SD = "{'%REF': 'user.ana.ref'}"


def create_arguments(parser: Parser) -> None:
    """Add the arguments of `task create`."""
    parser.add_argument(
        *("-t", "--task"),
        dest="name",
        required=True,
        metavar="NAME",
        help="name of the task: NAME, in full user.<username>.NAME",
    )
    parser.add_argument(
        *("-c", "--configFile"),
        dest="config",
        required=True,
        metavar="DATASET",
        help="data set of the configs: one job for each file, %%IN; task:NAME uses the outputs of another task",
    )
    common_arguments(parser)
    parser.add_argument(
        "--if-not-exists",
        action="store_true",
        help="do nothing if a task with that name exists",
    )


def repro_arguments(parser: Parser) -> None:
    """Add the arguments of `task repro`."""
    parser.add_argument(
        *("--new_task", "--new-task", "-t"),
        dest="name",
        required=True,
        metavar="NAME",
        help="name of the new task: NAME, in full user.<username>.NAME",
    )
    parser.add_argument(
        *("--old_task", "--old-task"),
        dest="old_task",
        required=True,
        metavar="TASK",
        help="number or name of the task whose outputs become %%IN, one for each job",
    )
    common_arguments(parser)


def common_arguments(parser: Parser) -> None:
    """Add what `task create`, `repro` and `clone` have in common."""
    _inputs(parser)
    task_arguments(parser)


def task_arguments(parser: Parser) -> None:
    """Add what all of them have in common with `run`."""
    _what(parser)
    _policy(parser)
    task_resources.arguments(parser)


def _inputs(parser: Parser) -> None:
    """Add what is different for `run`: the data, and the command."""
    parser.takes_command = "--exec"
    parser.add_argument(
        *("-d", "--dataFile"),
        dest="data",
        metavar="DATASET",
        help="data set that all jobs read, %%DATA: its file, or its folder if it has several files; without it, the "
        "command has no %%DATA",
    )
    parser.add_argument(
        "--exec",
        required=True,
        metavar="COMMAND",
        help="command of each job; %%IN, %%OUT and %%DATA are replaced by paths",
    )


def _what(parser: Parser) -> None:
    parser.add_argument(
        *("--sd", "--secondaryDS"),
        dest="secondary",
        metavar="TAGS",
        help=f'more tags and their data sets: "{_EXAMPLE_SD.replace("%", "%%")}"',
    )
    parser.add_argument(
        "--queue", choices=("cpu", "gpu"), default="cpu", help="kind of slots (default cpu)"
    )
    parser.add_argument(
        *("-v", "--volume"),
        metavar="FOLDER",
        help="folder for the results (default: the configured volume, or the current folder)",
    )
    parser.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="TASK",
        help="start when this task is DONE; can be repeated. With -c task:TASK its outputs are used then",
    )
    parser.add_argument(
        *("--containerImage", "--image"),
        dest="image",
        metavar="IMAGE",
        help="container image to run in: a SIF file, a folder, docker://NAME:TAG or in short USER/NAME:TAG",
    )
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SRC:DST[:ro]",
        help="folder or file of the machine to mount in the container; can be repeated",
    )
    parser.add_argument(
        "--env",
        type=parse_variable,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="environment variable for the jobs; can be repeated",
    )
    parser.add_argument(
        "--metrics",
        metavar="NAME",
        help="file that each job writes into %%OUT for `task results` (default metrics.json)",
    )
    parser.add_argument(
        "--goal",
        metavar="min:NAME|max:NAME",
        help="metric whose lowest or highest value is best, for `task results --best`, plots and the mail: min:loss",
    )
    parser.add_argument(
        "--attach-report",
        action="store_true",
        help="attach the task's report (`task report`) to the mail at its end",
    )
    parser.add_argument(
        *("--dry_run", "--dry-run"),
        dest="dry_run",
        action="store_true",
        help="check everything and show the first commands, but create nothing",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="use the task's folder even if it is not empty"
    )


def _policy(parser: Parser) -> None:
    policy = parser.add_argument_group("test, retry and limits")
    policy.add_argument(
        "--bypass", action="store_true", help="start all jobs at once, without a test"
    )
    policy.add_argument(
        "--test-jobs",
        type=at_least("--test-jobs", 0),
        metavar="N",
        help="number of test jobs, which run before the others (default 10)",
    )
    policy.add_argument(
        "--test-for",
        action=Amount,
        metavar="TIME",
        help="a test job that has run this long has passed; test jobs without a slot are not waited for "
        "any longer: 10m",
    )
    policy.add_argument(
        "--retries",
        type=at_least("--retries", 0),
        default=0,
        metavar="N",
        help="number of retries of a failed job (default 0)",
    )
    policy.add_argument(
        "--timeout", action=Amount, metavar="TIME", help="end a job that runs longer: 2h"
    )
    policy.add_argument(
        "--grace",
        action=Amount,
        default=30.0,
        metavar="TIME",
        help="time between SIGTERM and SIGKILL when a job is ended (default 30s)",
    )
    policy.add_argument(
        "--priority",
        type=whole,
        default=0,
        metavar="N",
        help="your tasks with a higher priority go before your others (default 0; can be negative)",
    )
    policy.add_argument(
        "--max-fails",
        type=parse_limit,
        metavar="N|P%",
        help="hold the task when this many jobs have failed",
    )
    policy.add_argument(
        "--max-running",
        type=at_least("--max-running", 1),
        metavar="N",
        help="let at most N jobs run at a time (default: as many as there are slots)",
    )
    policy.add_argument(
        "--resume", action="store_true", help="retry a job in the folder of its previous attempt"
    )


def new_task(ctx: Context, config: str) -> NewTask:
    """Return the task that the options describe; `config` is a data set or task:NAME.

    Raises:
        BadInput: two options contradict each other.
    """
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.tasks import METRICS_FILE
    from orchestra.domain.states import Queue
    from orchestra.files import local_machine
    from orchestra.wiring.identity import host_name

    args = ctx.args
    return NewTask(
        name=args.name,
        command=args.exec,
        config=config,
        data=None if args.data is None else ctx.names.dataset(args.data),
        volume=_volume(ctx),
        account=local_machine.account(),
        host=host_name(),
        secondary=secondary_of(ctx),
        queue=Queue(args.queue),
        image=local_machine.image(args.image) if args.image is not None else None,
        binds=tuple(args.bind),
        env=dict(args.env),
        policy=_policy_of(args),
        resources=task_resources.resources_of(args, Queue(args.queue)),
        placement=task_resources.placement_of(args),
        complete_file=ctx.settings.job_complete_file_name,
        reuse=args.reuse,
        after=tuple(map(ctx.names.task, args.after)),
        metrics_file=METRICS_FILE if args.metrics is None else args.metrics,
        goal=args.goal,
        attach_report=args.attach_report,
    )


def secondary_of(ctx: Context) -> dict[str, str]:
    """Return the data sets of `--sd` by their tags, as typed."""
    given = parse_secondary(ctx.args.secondary) if ctx.args.secondary else {}
    return {tag: ctx.names.dataset(name) for tag, name in given.items()}


def _volume(ctx: Context) -> str:
    from orchestra.files import local_machine

    return local_machine.full_path(ctx.args.volume or ctx.settings.volume or ".")


def _policy_of(args: Any) -> Policy:
    from orchestra.domain.models.tasks import Policy

    if args.bypass and args.test_jobs:
        raise BadInput("--bypass and --test-jobs contradict each other.")
    tests = 0 if args.bypass else 10 if args.test_jobs is None else args.test_jobs
    for option in ("test_for", "timeout", "walltime"):
        if getattr(args, option) == 0:
            raise BadInput(f"--{option.replace('_', '-')} must be greater than zero.")
    return Policy(
        test_jobs=tests,
        test_for=args.test_for,
        retries=args.retries,
        timeout=args.timeout,
        grace=args.grace,
        priority=args.priority,
        max_fails=args.max_fails,
        resume=args.resume,
        max_running=args.max_running,
        walltime=args.walltime,
    )


def parse_secondary(text: str) -> dict[str, str]:
    """Parse `--sd`: a Python literal or JSON, tags with names of data sets. It is never evaluated.

    Raises:
        BadInput: it is neither.
    """
    import ast
    import json

    wrong = BadInput(
        f"--sd {clean(text)} does not map tags to data sets.",
        hint=f'For example "{_EXAMPLE_SD}".',
    )
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise wrong from None
    if not isinstance(value, dict):
        raise wrong
    if not all(isinstance(word, str) for pair in value.items() for word in pair):
        raise wrong
    return value
