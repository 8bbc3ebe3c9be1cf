"""`maestro task wait`, and following tasks until they have ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from orchestra import command_words
from orchestra.cli.exit_statuses import INTERRUPTED
from orchestra.cli.progress_view import view
from orchestra.cli.reconnecting import reconnecting
from orchestra.cli.task_record import task_title
from orchestra.cli.task_select import several_tasks, the_ids
from orchestra.domain import dependencies, human
from orchestra.domain.quantities import parse_duration
from orchestra.domain.states import TaskState

if TYPE_CHECKING:
    from orchestra.cli.context import Context
    from orchestra.cli.parser import Parser
    from orchestra.domain.models.tasks import Task
    from orchestra.interface.operation import Interface

_STATUS = {
    TaskState.DONE: 0,
    TaskState.FINALIZED: 1,
    TaskState.BROKEN: 3,
    TaskState.KILLED: 4,
}
_TIMED_OUT = 5
_BY_SEVERITY = (0, 1, 4, 3)
_MOST_NAMED = 20


def wait_arguments(parser: Parser) -> None:
    """Add the arguments of `task wait`."""
    several_tasks(parser)
    parser.add_argument(
        "--timeout", type=parse_duration, metavar="TIME", help="give up after this time: 2h"
    )


def wait(ctx: Context) -> int:
    """Wait until tasks have ended; the exit status tells how."""
    return follow(ctx, lambda ask: the_ids(ctx, ask), timeout=ctx.args.timeout)


def follow(
    ctx: Context, choose: Callable[[Interface], Sequence[int]], *, timeout: float | None = None
) -> int:
    """Show the progress of tasks until they have ended, for at most `timeout` seconds; return the exit status.

    On Ctrl-C they continue; it says how to follow them again.
    """
    from orchestra.interface.waiting import wait_for_tasks

    ids: Sequence[int] = ()
    last: Sequence[Task] = ()

    def looked(ask: Interface, tasks: Sequence[Task]) -> None:
        nonlocal last
        last = tasks
        shown.look(ask, tasks)

    try:
        with closing(view()) as shown, reconnecting(ctx, shown.say) as ask:
            ids = choose(ask)
            waited = wait_for_tasks(
                ask,
                ids,
                timeout=timeout,
                changed=lambda task: shown.say(*_state_lines(task)),
                looked=lambda tasks: looked(ask, tasks),
                refresh=shown.refresh(len(ids)),
            )
    except KeyboardInterrupt:
        if not ids:
            raise
        ctx.out.note("", left([task.id for task in last if not task.is_over] or ids))
        return INTERRUPTED
    tell = ctx.out.say if ctx.out.for_people else ctx.out.note  # `run -o json` has printed JSON
    for task in waited.tasks:
        done = f"{human.number(task.counts.done)} of {human.count(task.active_jobs, 'job')} done"
        tell(f"{task_title(task)} is {task.state}: {done}")
    if waited.timed_out:
        ctx.out.note(f"not ended within {human.duration(timeout or 0)}")
        return _TIMED_OUT
    return max((_STATUS[task.state] for task in waited.tasks), key=_BY_SEVERITY.index)


def _state_lines(task: Task) -> Iterator[str]:
    if task.hold and task.state.is_live:
        yield f"{task_title(task)} is {task.state}, held by {task.hold.by}: {task.hold.reason}"
        return
    yield f"{task_title(task)} is {task.state}"
    if task.state is TaskState.REGISTERED:
        yield from (
            f"  {command_words.worded(each)}"
            for each in dependencies.sentences(task.id, task.after)
        )


def left(ids: Sequence[int]) -> str:
    """Return a sentence on tasks that are no longer followed, and how to follow them again."""
    what = f"task {ids[0]} continues" if len(ids) == 1 else f"{len(ids)} tasks continue"
    again = f"task wait {' '.join(map(str, ids))}" if len(ids) <= _MOST_NAMED else "task list"
    return f"{what}; to see {'it' if len(ids) == 1 else 'them'} again: maestro {again}"
