"""The arguments that select tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestra.cli.argument_types import whole
from orchestra.cli.exit_statuses import status_of
from orchestra.cli.output import print_error
from orchestra.domain.errors import BadInput, OrchestraError

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.interface.operation import Interface


def one_task(parser: Parser, words: str = "number or name of the task") -> None:
    """Add the arguments that name one task."""
    parser.add_argument("words", nargs="*", metavar="TASK", help=words)
    parser.add_argument("--id", dest="ids", nargs="+", default=[], metavar="TASK", help="the same")
    parser.add_argument(
        "-t", "--task", dest="names", nargs="+", default=[], metavar="NAME", help="the same"
    )


def several_tasks(parser: Parser) -> None:
    """Add the arguments that name one or more tasks."""
    parser.add_argument("words", nargs="*", metavar="TASK", help="numbers or names of tasks")
    parser.add_argument(
        *("--id",),
        dest="ids",
        nargs="+",
        action="extend",
        default=[],
        metavar="TASK",
        help="the same: --id 0 1 2",
    )
    parser.add_argument(
        *("-t", "--task"),
        dest="names",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME",
        help="the same",
    )
    parser.add_argument("--id_min", type=whole, metavar="N", help="all tasks from number N")
    parser.add_argument("--id_max", type=whole, metavar="N", help="all tasks up to number N")


def the_task(ctx: Context) -> str:
    """Return the one task that was named.

    Raises:
        BadInput: none or several were named.
    """
    words = [*ctx.args.words, *ctx.args.ids, *ctx.args.names]
    if len(words) != 1:
        raise BadInput(
            "which task?" if not words else f"this takes one task, not {len(words)}.",
            hint=f"For example: maestro {ctx.command} 0",
        )
    return ctx.names.task(words[0])


def the_ids(ctx: Context, ask: Interface) -> tuple[int, ...]:
    """Return the numbers of the tasks that were named.

    Raises:
        BadInput: none was named.
        NotFound: one of them does not exist.
    """
    from orchestra.domain.models.selection import Selection
    from orchestra.interface.selection import FindTasks

    words = tuple(map(ctx.names.task, (*ctx.args.words, *ctx.args.ids, *ctx.args.names)))
    return ask(FindTasks(Selection(words, ctx.args.id_min, ctx.args.id_max)))


def for_each(ids: Sequence[int], work: Callable[[int], None]) -> int:
    """Call `work` for each task and return the exit status. An error is printed and does not stop the others."""
    status = 0
    for task in ids:
        try:
            work(task)
        except OrchestraError as error:
            if len(ids) == 1:
                raise
            print_error(error)
            status = status_of(error)
    return status
