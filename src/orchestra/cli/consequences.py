"""What a command would do, before it does it: `--dry-run`, and the question on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from orchestra.domain.errors import Refused

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.consequences import TaskAction
    from orchestra.interface.answers.consequences import Consequences
    from orchestra.interface.operation import Interface


def dry_run(parser: Parser) -> None:
    """Add `--dry-run`."""
    parser.add_argument(
        *("--dry-run", "--dry_run"),
        dest="dry_run",
        action="store_true",
        help="print what would happen, and change nothing",
    )


def may_go_on(
    ctx: Context, ask: Interface, task: int, action: TaskAction, question: str, **chosen: Any
) -> bool:
    """Say what an action would do where somebody looks, and ask; with `--dry-run` only say it.

    Raises:
        Refused: it is not possible.
    """
    terminal = sys.stdin.isatty() and sys.stderr.isatty()
    if not ctx.args.dry_run and (ctx.args.yes or not terminal):
        return True
    would = say_consequences(ctx, ask, task, action, **chosen)
    affected = would.affected
    if ctx.args.dry_run or not (affected.again or affected.ends or affected.waits):
        return False
    return ctx.out.ask(question)


def say_consequences(
    ctx: Context, ask: Interface, task: int, action: TaskAction, **chosen: Any
) -> Consequences:
    """Say what an action would do, and return it.

    Raises:
        Refused: it is not possible.
    """
    from orchestra.interface.consequences import ConsequencesOf

    would = ask(ConsequencesOf(str(task), action, **chosen))
    if would.refusal:
        raise Refused(would.refusal)
    ctx.out.say(f"task {task} ({would.task.name}): {action.value.partition('_')[0]}")
    for sentence in would.sentences:
        ctx.out.say(f"    {sentence}")
    return would
