"""What is asked of a new task on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestra.cli.argument_types import Amount, at_least, whole
from orchestra.cli.output import clean
from orchestra.domain.errors import BadInput
from orchestra.domain.quantities import parse_limit
from orchestra.domain.variables import parse_variable

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.new_tasks import NewTask
    from orchestra.domain.models.tasks import Policy, Resources

_EXAMPLE_SD = "{'%REF': 'user.ana.ref'}"


def create_arguments(parser: Parser) -> None:
    """Add the arguments of `task create`."""
    parser.add_argument(
        *("-t", "--task"), dest="name", required=True, metavar="NAME", help="user.<username>.<name>"
    )
    parser.add_argument(
        *("-c", "--configFile"),
        dest="config",
        required=True,
        metavar="DATASET",
        help="one job for each of its files, %%IN; task:NAME takes the outputs of an older task",
    )
    _common_arguments(parser)
    parser.add_argument(
        "--if-not-exists",
        action="store_true",
        help="a task of that name that exists already is fine",
    )


def repro_arguments(parser: Parser) -> None:
    """Add the arguments of `task repro`."""
    parser.add_argument(
        *("--new_task", "--new-task", "-t"),
        dest="name",
        required=True,
        metavar="NAME",
        help="user.<username>.<name>",
    )
    parser.add_argument(
        *("--old_task", "--old-task"),
        dest="old_task",
        required=True,
        metavar="TASK",
        help="number or name of the task whose outputs become %%IN, one job each",
    )
    _common_arguments(parser)


def _common_arguments(parser: Parser) -> None:
    _what(parser)
    _policy(parser)
    resources = parser.add_argument_group("what one job takes")
    resources.add_argument(
        "--cores", type=at_least("--cores", 1), default=1, metavar="N", help="CPU slots (default 1)"
    )
    resources.add_argument(
        "--gpus",
        type=at_least("--gpus", 0),
        default=0,
        metavar="N",
        help="GPU slots (queue gpu: 1)",
    )
    resources.add_argument(
        "--memory", action=Amount, metavar="SIZE", help="a job that uses more is ended: 4GB"
    )


def _what(parser: Parser) -> None:
    parser.takes_command = "--exec"
    parser.add_argument(
        *("-d", "--dataFile"),
        dest="data",
        required=True,
        metavar="DATASET",
        help="what all jobs read, %%DATA: its file, or its folder where it has several",
    )
    parser.add_argument(
        *("--sd", "--secondaryDS"),
        dest="secondary",
        metavar="TAGS",
        help=f'more tags with their data sets: "{_EXAMPLE_SD.replace("%", "%%")}"',
    )
    parser.add_argument(
        "--exec",
        required=True,
        metavar="COMMAND",
        help="what each job runs; %%DATA, %%IN and %%OUT become its paths",
    )
    parser.add_argument(
        "--queue", choices=("cpu", "gpu"), default="cpu", help="which slots (default cpu)"
    )
    parser.add_argument(
        *("-v", "--volume"),
        metavar="FOLDER",
        help="where the results go (default: the configured volume, else the current folder)",
    )
    parser.add_argument(
        "--after",
        action="append",
        default=[],
        metavar="TASK",
        help="begin when this task is DONE; can be repeated. With -c task:TASK its outputs are taken then",
    )
    parser.add_argument(
        *("--containerImage", "--image"),
        dest="image",
        metavar="IMAGE",
        help="run in this container image: a SIF file, a folder, docker://NAME:TAG or short USER/NAME:TAG",
    )
    parser.add_argument(
        "--bind",
        action="append",
        default=[],
        metavar="SRC:DST[:ro]",
        help="what else the container sees of its machine; can be repeated",
    )
    parser.add_argument(
        "--env",
        type=parse_variable,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a variable for the jobs; can be repeated",
    )
    parser.add_argument(
        "--metrics",
        metavar="NAME",
        help="what each job leaves in %%OUT for `task results` (default metrics.json)",
    )
    parser.add_argument(
        *("--dry_run", "--dry-run"),
        dest="dry_run",
        action="store_true",
        help="check all, show the first commands, write nothing",
    )
    parser.add_argument(
        "--reuse", action="store_true", help="write beside what lies in the task's folder already"
    )


def _policy(parser: Parser) -> None:
    policy = parser.add_argument_group("how it is tried, repeated and ended")
    policy.add_argument("--bypass", action="store_true", help="no test before the rest")
    policy.add_argument(
        "--test-jobs",
        type=at_least("--test-jobs", 0),
        metavar="N",
        help="jobs that are tried first (default 10)",
    )
    policy.add_argument(
        "--test-for",
        action=Amount,
        metavar="TIME",
        help="a test job that has run for so long has passed, and the test does not wait longer than that for those "
        "that find no slot: 10m",
    )
    policy.add_argument(
        "--retries",
        type=at_least("--retries", 0),
        default=0,
        metavar="N",
        help="how often a failed job is repeated (default 0)",
    )
    policy.add_argument(
        "--timeout", action=Amount, metavar="TIME", help="end a job that runs for longer: 2h"
    )
    policy.add_argument(
        "--grace",
        action=Amount,
        default=30.0,
        metavar="TIME",
        help="between TERM and KILL when a job is ended (default 30s)",
    )
    policy.add_argument(
        "--priority",
        type=whole,
        default=0,
        metavar="N",
        help="before everybody's tasks of a lower one (default 0; may be negative)",
    )
    policy.add_argument(
        "--max-fails",
        type=parse_limit,
        metavar="N|P%",
        help="hold the task when so many jobs have failed",
    )
    policy.add_argument(
        "--resume", action="store_true", help="a repeated job gets the folder of the attempt before"
    )


def new_task(ctx: Context, config: str) -> NewTask:
    """Give what was asked for; `config` is a data set or task:NAME.

    Raises:
        BadInput: options that do not go together.
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
        data=ctx.names.dataset(args.data),
        volume=_volume(ctx),
        account=local_machine.account(),
        host=host_name(),
        secondary=_secondary(ctx),
        queue=Queue(args.queue),
        image=local_machine.image(args.image) if args.image is not None else None,
        binds=tuple(args.bind),
        env=dict(args.env),
        policy=_policy_of(args),
        resources=_resources_of(args),
        complete_file=ctx.settings.job_complete_file_name,
        reuse=args.reuse,
        after=tuple(map(ctx.names.task, args.after)),
        metrics_file=METRICS_FILE if args.metrics is None else args.metrics,
    )


def _secondary(ctx: Context) -> dict[str, str]:
    given = parse_secondary(ctx.args.secondary) if ctx.args.secondary else {}
    return {tag: ctx.names.dataset(name) for tag, name in given.items()}


def _volume(ctx: Context) -> str:
    from orchestra.files import local_machine

    return local_machine.full_path(ctx.args.volume or ctx.settings.volume or ".")


def _policy_of(args: Any) -> Policy:
    from orchestra.domain.models.tasks import Policy

    if args.bypass and args.test_jobs:
        raise BadInput("--bypass leaves the test out, and --test-jobs asks for one.")
    tests = 0 if args.bypass else 10 if args.test_jobs is None else args.test_jobs
    for option in ("test_for", "timeout"):
        if getattr(args, option) == 0:
            raise BadInput(f"--{option.replace('_', '-')} needs more than no time at all.")
    return Policy(
        test_jobs=tests,
        test_for=args.test_for,
        retries=args.retries,
        timeout=args.timeout,
        grace=args.grace,
        priority=args.priority,
        max_fails=args.max_fails,
        resume=args.resume,
    )


def _resources_of(args: Any) -> Resources:
    from orchestra.domain.models.tasks import Resources

    return Resources(args.cores, args.gpus, args.memory)


def parse_secondary(text: str) -> dict[str, str]:
    """Read `--sd`: a Python literal or JSON, tags with names of data sets. It is data and never evaluated.

    Raises:
        BadInput: it is neither.
    """
    import ast
    import json

    wrong = BadInput(
        f"--sd {clean(text)} is no list of tags with data sets.",
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
