"""Reading the results of a task, for all commands that show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.task_select import the_task
from orchestra.domain.goals import DIRECTIONS, parse_goal

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.goals import StatedGoal
    from orchestra.domain.models.results import Sources
    from orchestra.domain.models.tasks import Task
    from orchestra.domain.results import Table


def direction_argument(parser: Parser) -> None:
    """Add the option that says which values are best."""
    parser.add_argument(
        "--direction",
        choices=tuple(DIRECTIONS),
        help="whether the lowest or the highest value is best, whatever the goal or the metric's name says",
    )


def stated_goal(task: Task) -> StatedGoal | None:
    """Return the goal that was given when the task was created."""
    return parse_goal(task.goal) if task.goal else None


def read(ctx: Context, word: str | None = None, *, live: bool = False) -> tuple[Sources, Table]:
    """Read the results of the task that was named, or of the one that `word` names, with a progress line."""
    from orchestra.files.results import read as read_files
    from orchestra.interface.results import FindResults

    name = the_task(ctx) if word is None else ctx.names.task(word)
    with ctx.interface() as ask:
        sources = ask(FindResults(name, live))
    with ctx.out.progress("reading results", None, "jobs") as line:

        def show(done: int, total: int) -> None:
            line.total = total
            line.set(done)

        return sources, read_files(sources, progress=show)
