"""The options of `maestro run`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli import dataset_files, run_sweep
from orchestra.cli.task_options import task_arguments

if TYPE_CHECKING:
    from orchestra.cli.parser import Parser


def arguments(parser: Parser) -> None:
    """Add the arguments of `run`."""
    parser.takes_command = "--exec"
    parser.intermixed = True
    parser.add_argument(
        "words",
        nargs="*",
        metavar="FILE",
        help="the script, and behind it the configs: files or folders. With --exec, all are configs",
    )
    parser.add_argument(
        *("-n", "--name", "-t", "--task"),
        dest="name",
        metavar="NAME",
        help="name of the task (default: made from the script's, with a number if it is taken)",
    )
    parser.add_argument(
        *("-d", "--data", "--dataFile"),
        dest="with_data",
        metavar="PATH",
        help="what all jobs read, %%DATA: a file or folder, which is registered, or a data set",
    )
    parser.add_argument(
        "--exec",
        metavar="COMMAND",
        help="command of each job, in place of a script; %%IN, %%OUT and %%DATA are replaced by paths, and relative "
        "paths are those of the current folder",
    )
    parser.add_argument(
        "--detach", action="store_true", help="do not follow the task; it runs in any case"
    )
    parser.add_argument(
        "--if-not-exists",
        action="store_true",
        help="if a task with the name of --name exists, only follow it",
    )
    dataset_files.choice_arguments(parser)
    run_sweep.arguments(parser)
    parser.set_defaults(data=None)
    task_arguments(parser)
